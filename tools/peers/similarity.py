"""Works on similarity matrices, their resampling, and shared subspaces; see `works.py`."""

import numpy as np

from inputs import uniform
from works import package, work


def responses(seed, n, p, dtype=np.float64):
    """n stimuli x p units; later stimuli respond more weakly, so that principal directions are apart."""
    return (uniform(seed, n, p, dtype=dtype) / (1.0 + 0.05 * np.arange(n, dtype=dtype))[:, None]).astype(dtype)


def correlations(dtype, n, p):
    """Entries above the diagonal of one matrix in steps, which is what is compared."""
    x = responses(1, n, p, dtype)
    return lambda: np.corrcoef(x), lambda c: c[np.triu_indices(n, 1)][:: n // 2]


work("correlations_2000x20000", "f64", 1e-13, numpy=lambda: correlations(np.float64, 2000, 20_000))
# Ours takes blocks of 7680 units, as if the rest were not there; NumPy takes all at once.
work("correlations_streamed_118x1000000", "f32", 1e-12, numpy=lambda: correlations(np.float32, 118, 1_000_000))


# ------------------------------------------------------------------ resampling
N, DRAWS = 118, 1000


def tables():
    """Upper triangles of two similarity matrices over 118 stimuli that share half of their variance."""
    shared = uniform(3, N, 96)
    upper = np.triu_indices(N, 1)
    return [np.corrcoef(shared + uniform(seed, N, 96))[upper] for seed in (4, 5)]


def draws():
    """Indices of the stimuli of every draw, with replacement."""
    u = uniform(6, DRAWS, N) / np.sqrt(3.0) * 0.5 + 0.5
    return np.minimum((u * N).astype(np.int64), N - 1)


def rsatoolbox_bootstrap():
    """`eval_bootstrap_pattern` itself, with our draws instead of its own, and without a noise ceiling."""
    toolbox = package("rsatoolbox")
    evaluate = package("rsatoolbox.inference.evaluate")
    a, b = tables()
    model = toolbox.model.ModelFixed("model", toolbox.rdm.RDMs(1 - a[None], rdm_descriptors={"index": [0]}))
    data = toolbox.rdm.RDMs(1 - b[None], rdm_descriptors={"index": [0]})
    samples = draws()

    class Quiet:
        """Neither bars of progress nor another generator take part."""

        @staticmethod
        def trange(count):
            return range(count)

    def run():
        following = iter(samples)

        def sample(data, descriptor):
            chosen = next(following)
            return data.subsample_pattern(descriptor, chosen), chosen

        before = evaluate.tqdm, evaluate.bootstrap_sample_pattern
        evaluate.tqdm, evaluate.bootstrap_sample_pattern = Quiet, sample
        try:
            return evaluate.eval_bootstrap_pattern(model, data, method="spearman", N=DRAWS, boot_noise_ceil=False)
        finally:
            evaluate.tqdm, evaluate.bootstrap_sample_pattern = before

    return run, lambda result: np.ravel(result.evaluations)


def scipy_bootstrap():
    """The same by hand: pairs of different stimuli of the sample, ranked anew."""
    stats = package("scipy.stats")
    a, b = tables()
    squares = []
    for table in (a, b):
        square = np.zeros((N, N))
        square[np.triu_indices(N, 1)] = table
        squares.append(square + square.T)
    rows, columns = np.triu_indices(N, 1)
    samples = draws()

    def run():
        scores = []
        for sample in samples:
            i, j = sample[rows], sample[columns]
            apart = i != j
            i, j = i[apart], j[apart]
            scores.append(stats.spearmanr(squares[0][i, j], squares[1][i, j]).statistic)
        return scores

    return run, np.array


def scipy_permutations():
    stats = package("scipy.stats")
    a, b = tables()
    upper = np.triu_indices(N, 1)
    square = np.zeros((N, N))
    square[upper] = b
    square += square.T
    orders = np.argsort(uniform(7, DRAWS, N), axis=1, kind="stable")

    def run():
        return [stats.spearmanr(a, square[np.ix_(order, order)][upper]).statistic for order in orders]

    return run, np.array


work("ssm_bootstrap_118x1000", "f64", 1e-12, rsatoolbox=rsatoolbox_bootstrap, scipy=scipy_bootstrap)
work("ssm_permutations_118x1000", "f64", 1e-12, scipy=scipy_permutations)


# ------------------------------------------------------------------ ranks and orders
def scipy_ranks(n):
    stats = package("scipy.stats")
    x = uniform(8, n)
    return lambda: stats.rankdata(x), lambda ranks: ranks[:: n // 1000]


def scipy_kendall():
    stats = package("scipy.stats")
    a, b = tables()
    return lambda: stats.kendalltau(a, b).statistic, lambda tau: np.array([tau])


for n in (6_903, 700_000):
    work(f"ranks_{n}", "f64", 1e-15, scipy=lambda n=n: scipy_ranks(n))
work("kendall_6903", "f64", 1e-13, scipy=scipy_kendall)


# ------------------------------------------------------------------ subspaces
def numpy_svcca(dtype, n, p, k):
    """SVCCA as its authors' tutorial does it: an SVD of units x stimuli, the leading directions, then
    CCA by inverse roots of covariances."""
    x, y = (responses(seed, n, p, dtype).T.copy() for seed in (1, 2))

    def leading(acts):
        centred = acts - acts.mean(axis=1, keepdims=True)
        _, s, v = np.linalg.svd(centred, full_matrices=False)
        return s[:k, None] * v[:k]

    def inverse_root(sigma):
        values, vectors = np.linalg.eigh(sigma)
        return vectors @ (1.0 / np.sqrt(values)[:, None] * vectors.T)

    def run():
        a, b = leading(x), leading(y)
        sigma = np.cov(a, b)
        xx, xy, yy = sigma[:k, :k], sigma[:k, k:], sigma[k:, k:]
        return np.linalg.svd(inverse_root(xx) @ xy @ inverse_root(yy), compute_uv=False)

    return run, np.asarray


work("svcca_118x100000_40", "f64", 1e-9, numpy=lambda: numpy_svcca(np.float64, 118, 100_000, 40))
# Ours computes in f64; NumPy's SVD of f32 is one in f32.
work("svcca_118x100000_40", "f32", 1e-3, numpy=lambda: numpy_svcca(np.float32, 118, 100_000, 40))
