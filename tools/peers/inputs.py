"""Input for timings, the same numbers as `hesse_cli::inputs` makes, bit for bit."""

import numpy as np


def uniform(seed, *shape, dtype=np.float64):
    """Values of stream `seed`, uniform on [-sqrt 3, sqrt 3): mean 0, variance 1. In C order."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed << 32) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    u = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return ((2.0 * u - 1.0) * np.sqrt(3.0)).astype(dtype).reshape(shape)
