"""Inputs of `hesse reproduce credit` from the reference files: tools/cli/data/credit.npz.

Networks and data of A_tanh_mse, I_seqdigits and G_theorem_single, without outputs.

    python make_credit.py tests/golden/credit tools/cli/data
"""

import sys
from pathlib import Path

import numpy as np


def main(golden, out):
    arrays = {}
    for prefix, name, more in [
        ("A_", "A_tanh_mse", ["target"]),
        ("I_", "I_seqdigits", ["target"]),
        ("G_", "G_theorem_single", ["target", "perturbation"]),
    ]:
        with np.load(Path(golden) / f"{name}.npz") as file:
            for key in ["W", "U", "b", "O", "c", "x", *more]:
                value = file[key]
                if key == "x" and prefix == "I_":
                    # Sixteenths of ink.
                    value = np.rint(16 * value).astype(np.uint8)
                    assert np.array_equal(value / 16, file[key])
                if value.dtype == np.int64:
                    value = value.astype(np.uint8)
                arrays[prefix + key] = value
            arrays[prefix + "a"] = file["cfg_a"]
    np.savez_compressed(Path(out) / "credit.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
