"""Makes tools/cli/data/similarity.npz, the inputs of `hesse reproduce similarity` that cannot be drawn
anew, from the reference files of tests/golden/similarity.

Similarities are kept as doubled average ranks: Spearman's coefficient needs no more, and whole numbers
below 2**16 are half the size.
"""

from pathlib import Path

import numpy as np
from scipy.stats import rankdata

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/similarity"
AREAS = ["VISp", "VISl", "VISal", "VISpm", "VISam", "VISrl"]


def ranks(table):
    """Doubled average ranks of every row."""
    doubled = np.array([2 * rankdata(row) for row in table])
    assert (doubled == np.round(doubled)).all() and doubled.max() < 2**16
    return doubled.astype(np.uint16)


ladder = np.load(GOLDEN / "09_pseudo_depth.npz")
areas = np.load(GOLDEN / "11_areas.npz")
noise = np.load(GOLDEN / "07_noise_ceiling.npz")
np.savez_compressed(
    ROOT / "tools/cli/data/similarity.npz",
    ladder_ranks=ranks(ladder["ladder_rsm_upper"]),
    probe_ranks=ranks(ladder["probe_rsm_upper"]),
    area_counts=np.array([areas["count_sum_" + name] for name in AREAS], np.uint16),
    area_samples=areas["boot_idx"].astype(np.uint8),
    trial_counts=noise["counts"],
)
