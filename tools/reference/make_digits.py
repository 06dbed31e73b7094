"""Writes the digits that `hesse reproduce` trains on: tools/cli/data/digits.npz.

    python tools/reference/make_digits.py SOURCE [COUNT]

SOURCE is an .npz with `images` (n x 28 x 28, 0 to 255) and `labels` (n), in random order; the first
COUNT of them are kept (5,000 unless said). Needs NumPy. tools/cli/data/README.md says where the
committed ones come from.
"""

import pathlib
import sys

import numpy as np

TARGET = pathlib.Path("tools/cli/data/digits.npz")


def main():
    source = np.load(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    images, labels = source["images"][:count], source["labels"][:count]
    assert images.shape == (count, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (count,) and labels.dtype == np.uint8 and labels.max() == 9
    np.savez_compressed(TARGET, images=images, labels=labels)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, {np.bincount(labels).tolist()} of each digit")


if __name__ == "__main__":
    main()
