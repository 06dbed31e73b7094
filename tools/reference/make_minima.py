"""Minima over boxes by SciPy's L-BFGS-B, for tests/golden/optimize/minima.npz.

Problems: Rosenbrock's function with some bounds active, quadratics with a condition of 10^4 and
bounds of every kind, a convex sum of exponentials. SciPy 1.17.1, factr 0, pgtol 1e-10.
"""

import pathlib

import numpy as np
from scipy.optimize import minimize


def rosenbrock(x):
    g = np.zeros_like(x)
    a = x[1:] - x[:-1] ** 2
    g[:-1] = -400 * x[:-1] * a - 2 * (1 - x[:-1])
    g[1:] += 200 * a

    return np.sum(100 * a**2 + (1 - x[:-1]) ** 2), g


def exponentials(a, b):
    """Σ exp(a_i·x − b_i) + ½‖x‖²."""

    def f(x):
        e = np.exp(a @ x - b)

        return e.sum() + 0.5 * x @ x, a.T @ e + x

    return f


def solve(f, x0, low, high):
    result = minimize(f, x0, jac=True, method="L-BFGS-B", bounds=list(zip(low, high)),
                      options={"maxiter": 20000, "maxfun": 40000, "ftol": 0, "gtol": 1e-10, "maxcor": 10})
    g = f(result.x)[1]
    kkt = np.abs(np.clip(g, result.x - high, result.x - low)).max()
    assert kkt < 1e-3, kkt

    return {"x0": x0, "low": low, "high": high, "x": result.x, "f": result.fun, "kkt": kkt,
            "iterations": result.nit, "evaluations": result.nfev}


def main():
    rng = np.random.default_rng(12)
    arrays = {}

    def keep(name, values):
        arrays.update({f"{name}_{key}": value for key, value in values.items()})

    n = 25
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    low[::2], high[::2] = 1.0, 100.0
    low[1::2], high[1::2] = -100.0, 100.0
    keep("rosenbrock_driver", solve(rosenbrock, np.full(n, 3.0), low, high))
    low, high = np.full(10, -1.5), np.full(10, 0.8)
    keep("rosenbrock_box", solve(rosenbrock, np.full(10, -1.2), low, high))
    for k, n in enumerate((6, 40)):
        q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        a = (q * np.logspace(0, 4, n)) @ q.T
        a = 0.5 * (a + a.T)
        b = a @ rng.standard_normal(n)
        low = np.where(rng.random(n) < 0.6, -rng.random(n), -np.inf)
        high = np.where(rng.random(n) < 0.6, rng.random(n), np.inf)
        found = solve(lambda x: (0.5 * x @ a @ x - b @ x, a @ x - b), np.zeros(n), low, high)
        # SciPy stops where values differ by rounding; the rest of the way with its active set.
        x = found["x"]
        free = (x > low) & (x < high)
        x[free] = np.linalg.solve(a[np.ix_(free, free)], (b - a[:, ~free] @ x[~free])[free])
        g = a @ x - b
        found["kkt"] = np.abs(np.clip(g, x - high, x - low)).max()
        assert found["kkt"] < 1e-9 and np.all((x >= low) & (x <= high)), found["kkt"]
        found["f"] = 0.5 * x @ a @ x - b @ x
        keep(f"quadratic_{k}", found)
        arrays.update({f"quadratic_{k}_A": a, f"quadratic_{k}_b": b})
    a, b = rng.standard_normal((30, 12)), rng.standard_normal(30)
    keep("exponentials", solve(exponentials(a, b), np.zeros(12), np.full(12, 0.0), np.full(12, np.inf)))
    arrays.update(exponentials_A=a, exponentials_b=b)
    path = pathlib.Path(__file__).parents[2] / "tests/golden/optimize/minima.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main()
