"""The works of `compare.py`: what is timed, and how each peer does it.

A work is a name, a dtype and one function per peer. A peer function prepares its input and returns
two functions: one does the work once (this is what is timed) and returns its result, the other makes
an answer of a result, a small NumPy array on which all sides must agree to `tolerance` (relative to
its largest entry). Our side is the work of the same name and dtype in `tools/cli/examples/work.rs`.
"""

from dataclasses import dataclass, field

import numpy as np

from inputs import uniform


class Missing(Exception):
    """A package that a peer needs is not installed."""


@dataclass
class Work:
    name: str
    dtype: str
    tolerance: float
    peers: dict = field(default_factory=dict)


WORKS = []


def package(name):
    """Imports a package, or says which one is missing."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(name.split(".")[0]) from error


def work(name, dtype, tolerance, **peers):
    WORKS.append(Work(name, dtype, tolerance, peers))


# ------------------------------------------------------------------ panels: V^T W and W - V H
def panel_product(dtype, n, k, b):
    v, w = uniform(1, k, n, dtype=dtype).T, uniform(2, b, n, dtype=dtype).T
    return lambda: v.T @ w, lambda h: h.T.ravel()


def panel_update(dtype, n, k, b):
    v, w = uniform(1, k, n, dtype=dtype).T, uniform(2, b, n, dtype=dtype).T
    h = (uniform(3, b, k, dtype=np.float64).T * 1e-3).astype(dtype)

    def run():
        w[...] -= v @ h
        return w

    return run, lambda w: w[0]


for dtype in ("f32", "f64"):
    real = {"f32": np.float32, "f64": np.float64}[dtype]
    # Both sides of an f32 product are rounded: numpy accumulates 10^6 terms in f32.
    tolerance = {"f32": 1e-3, "f64": 1e-11}[dtype]
    for b in (1, 4):
        work(f"panel_product_1000000x16_{b}", dtype, tolerance,
             numpy=lambda real=real, b=b: panel_product(real, 1_000_000, 16, b))
        work(f"panel_update_1000000x16_{b}", dtype, tolerance,
             numpy=lambda real=real, b=b: panel_update(real, 1_000_000, 16, b))


# ------------------------------------------------------------------ eigenvalues of a voxel Laplacian
def ball_laplacian():
    """Graph Laplacian of the voxels of an 80^3 grid closer than 38 to voxel (40, 40, 40)."""
    sparse = package("scipy.sparse")
    inside = ((np.indices((80, 80, 80)) - 40) ** 2).sum(0) < 38**2
    index = np.full(inside.shape, -1)
    index[inside] = np.arange(inside.sum())
    rows, columns = [], []
    for axis in range(3):
        a = np.moveaxis(index, axis, 0)
        pairs = (a[:-1] >= 0) & (a[1:] >= 0)
        rows += [a[:-1][pairs], a[1:][pairs]]
        columns += [a[1:][pairs], a[:-1][pairs]]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    n = int(inside.sum())
    adjacency = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n)).tocsr()
    degree = sparse.diags(np.asarray(adjacency.sum(1)).ravel())
    return (degree - adjacency).tocsr()


def five_largest(values):
    """Distinct ones: ARPACK can miss copies of a multiple eigenvalue, and then fills up with smaller ones."""
    values = np.sort(values)[::-1]
    return values[np.append(True, -np.diff(values) >= 1e-6)][:5]


def arpack():
    linalg = package("scipy.sparse.linalg")
    laplacian = ball_laplacian()
    start = uniform(1, laplacian.shape[0])
    return lambda: linalg.eigsh(laplacian, k=10, which="LA", tol=1e-8, v0=start), lambda r: five_largest(r[0])


work("eigsh_ball_laplacian_10", "f64", 1e-8, arpack=arpack)


# ------------------------------------------------------------------ neighbours and spectra
def sklearn_brute(n, d, k):
    neighbors = package("sklearn.neighbors")
    x = uniform(1, n, d)
    search = neighbors.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x)
    return lambda: search.kneighbors(), lambda found: found[0][:100].ravel()


# `knn`: tiles in f32, certified; `knn_double`: tiles in f64. The table is the same.
for precision in ("knn", "knn_double"):
    for n, d in ((20_000, 100), (10_000, 500)):
        # Uniform points: distances by |x|^2 + |y|^2 - 2 x.y lose few digits.
        work(f"{precision}_{n}x{d}_20", "f64", 1e-11, sklearn=lambda n=n, d=d: sklearn_brute(n, d, 20))


def skdim_estimator(estimator, n, d):
    """The search for neighbours included; normal points by Box and Muller."""
    skdim = package("skdim")
    u, v = (0.5 + uniform(seed, n, d) / np.sqrt(12) for seed in (1, 2))
    x = np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)
    return lambda: estimator(skdim.id).fit(x).dimension_, lambda value: np.array([value])


for n, d in ((20_000, 100), (10_000, 500)):
    work(f"estimator_two_nn_{n}x{d}", "f64", 1e-8,
         skdim=lambda n=n, d=d: skdim_estimator(lambda id: id.TwoNN(), n, d))

# Its defaults: k = 20, for ESS 100, for DANCo 10. DANCo's random calibrations differ.
for name, tolerance, estimator in (
    ("mle", 1e-8, lambda id: id.MLE()),
    ("tle", 1e-8, lambda id: id.TLE()),
    ("ess", 1e-8, lambda id: id.ESS()),
    ("fisher_s", 1e-8, lambda id: id.FisherS()),
    ("danco", 0.1, lambda id: id.DANCo()),
):
    work(f"estimator_{name}_2000x50", "f64", tolerance,
         skdim=lambda estimator=estimator: skdim_estimator(estimator, 2_000, 50))


def numpy_participation_ratio(dtype, n, d):
    x = uniform(1, n, d, dtype=dtype)

    def run():
        centred = x - x.mean(0)
        covariance = centred.T @ centred
        return np.trace(covariance, dtype=np.float64) ** 2 / np.einsum("ij,ij->", covariance, covariance, dtype=np.float64)

    return run, lambda ratio: np.array([ratio])


for n, d in ((50_000, 4_096), (10_000, 1_000)):
    work(f"participation_ratio_{n}x{d}", "f32", 1e-4,
         numpy=lambda n=n, d=d: numpy_participation_ratio(np.float32, n, d))


# ------------------------------------------------------------------ products with that Laplacian
def scipy_laplacian(columns):
    laplacian = (-ball_laplacian()).tocsr()
    n = laplacian.shape[0]
    x = uniform(1, n, columns) if columns > 1 else uniform(1, n)

    return lambda: laplacian @ x, lambda y: y.reshape(n, columns)[::1000].ravel()


for columns in (1, 8, 16, 32):
    work(f"laplacian_ball_{columns}", "f64", 1e-13, scipy=lambda columns=columns: scipy_laplacian(columns))


# ------------------------------------------------------------------ nonnegative least squares
def scipy_nnls(m, n, count):
    """One right-hand side a call, which is all that SciPy has."""
    optimize = package("scipy.optimize")
    a, b = uniform(1, m, n), uniform(2, count, m)

    return lambda: np.array([optimize.nnls(a, row)[0] for row in b]), lambda x: x.ravel()


work("nnls_2000x500", "f64", 1e-8, scipy=lambda: scipy_nnls(2000, 500, 1))
work("nnls_200_rhs", "f64", 1e-8, scipy=lambda: scipy_nnls(500, 100, 200))


def scipy_toy1d(n, waves, memory, limits, stop=None):
    """L-BFGS-B on the smoothed masked regression of five injections, n x n weights."""
    optimize = package("scipy.optimize")
    count = 5
    factor = 100.0 * count / n
    grid, unit = np.arange(n) / (n - 1), n // 50
    x = np.zeros((n, count))
    for e in range(count):
        x[10 * unit * e + 2 * unit : 10 * unit * e + 9 * unit, e] = 1.0
    truth = np.exp(-(((grid[None, :] - grid[:, None]) / 0.4) ** 2))
    truth += 0.9 * np.exp(-((grid[None, :] - 0.8) ** 2 + (grid[:, None] - 0.1) ** 2) / 0.04)
    observed = 1.0 - x
    y = observed * (truth @ x + waves * np.sin(37.0 * np.arange(n)[:, None] + 101.0 * np.arange(count)))

    def laplacian(w):
        s = np.zeros_like(w)
        d = np.diff(w, axis=0)
        s[:-1] += d
        s[1:] -= d
        d = np.diff(w, axis=1)
        s[:, :-1] += d
        s[:, 1:] -= d

        return s

    def objective(flat):
        w = flat.reshape(n, n)
        r = observed * (w @ x - y)
        s = laplacian(w)

        return np.sum(r * r) + factor * np.sum(s * s), (2 * r @ x.T + 2 * factor * laplacian(s)).ravel()

    def run():
        return optimize.minimize(objective, np.zeros(n * n), jac=True, method="L-BFGS-B", bounds=[(0, None)] * (n * n),
                                 callback=stop, options={"maxcor": memory, "ftol": 0, "gtol": 0, **limits})

    return run, lambda result: np.array([result.fun])


def near_minimum(intermediate_result):
    """Ends a run within 3e-4 of the minimum, which ours finds to a certificate."""
    if intermediate_result.fun <= 1.4966965858 * (1 + 3e-4):
        raise StopIteration


# Paths of 600 steps differ by rounding; both must have come as far down.
work("toy1d_lbfgsb_600", "f64", 0.2, scipy=lambda: scipy_toy1d(100, 0.0, 6, {"maxiter": 600, "maxfun": 5000}))
work("toy1d_minimum_200", "f64", 1e-3,
     scipy=lambda: scipy_toy1d(200, 0.4, 20, {"maxiter": 40_000, "maxfun": 100_000}, near_minimum))


# ------------------------------------------------------------------ element by element
def torch_tanh(dtype, n):
    """In place of an array that is there, as our kernel works."""
    torch = package("torch")
    x = torch.tensor(uniform(1, n, dtype=dtype))
    y = torch.empty_like(x)

    return lambda: torch.tanh(x, out=y), lambda y: y[:1000].numpy()


def numpy_tanh(dtype, n):
    x = uniform(1, n, dtype=dtype)
    y = np.empty_like(x)

    return lambda: np.tanh(x, out=y), lambda y: y[:1000]


for n, place in ((1 << 14, "cached"), (1 << 24, "memory")):
    for dtype, real, tolerance in (("f32", np.float32, 1e-6), ("f64", np.float64, 1e-15)):
        work(f"tanh_{place}_{n}", dtype, tolerance,
             numpy=lambda real=real, n=n: numpy_tanh(real, n),
             torch=lambda real=real, n=n: torch_tanh(real, n))


def numpy_normals(dtype, n):
    rng = np.random.default_rng(1)
    out = np.empty(n, dtype)

    return lambda: rng.standard_normal(n, dtype, out), lambda x: np.array([x.std()])


def torch_normals(dtype, n):
    torch = package("torch")
    out = torch.empty(n, dtype=getattr(torch, np.dtype(dtype).name))

    return lambda: out.normal_(), lambda x: np.array([x.std().item()])


for dtype, real in (("f32", np.float32), ("f64", np.float64)):
    n = 1 << 24
    # Different generators agree in the standard deviation of what they make, no further.
    work(f"normals_{n}", dtype, 1e-2,
         numpy=lambda real=real: numpy_normals(real, 1 << 24),
         torch=lambda real=real: torch_normals(real, 1 << 24))


# ------------------------------------------------------------------ a file a subject
import networks  # noqa: E402, F401
import recurrent  # noqa: E402, F401
import similarity  # noqa: E402, F401
