#!/usr/bin/env python3
"""Reference files for curvature and Krylov methods, made with JAX, NumPy and SciPy in float64.

    python make_flatness.py mlp --sizes 5,7,6,3 --activation tanh --loss mse --samples 12 --seed 101 OUT.npz
    python make_flatness.py rnn --sizes 3,8,2 --steps 20 --samples 4 --seed 113 OUT.npz
    python make_flatness.py spectrum --size 120 --steps 30 --seed 116 OUT.npz
    python make_flatness.py all DIR

`hesse validate flatness OUT.npz` recomputes every output of such a file. `all` makes the files of
tests/golden/flatness. Requirements: requirements.txt.

Conventions. Scalars have shape (1,). Parameters: layer by layer W (outputs x inputs, row by row),
then b; y = W x + b; no activation after the last layer. A recurrent network has W_hh, W_xh, b_h, W_o,
b_o, with h_t = tanh(W_hh h_{t-1} + W_xh x_t + b_h), h_0 = 0, y = W_o h_T + b_o. *_tri: the lower
triangle row by row. Loss mse: 1/(2n) sum |f(x) - y|^2; ce: -(1/n) sum log softmax(f(x))[y].
"""

import argparse
import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg as sla

ACTIVATIONS = {
    "identity": (0, lambda z: z),
    "tanh": (1, jnp.tanh),
    "gelu": (2, lambda z: jax.nn.gelu(z, approximate=False)),
    "relu": (3, jax.nn.relu),
    "softplus": (4, jax.nn.softplus),
    "gelu_tanh": (5, lambda z: jax.nn.gelu(z, approximate=True)),
}
LOSSES = {"mse": 0, "ce": 1}


def loss_of(outputs, targets, loss):
    n = outputs.shape[0]
    if loss == "mse":
        return 0.5 / n * jnp.sum((outputs - targets) ** 2)
    return jnp.mean(jax.scipy.special.logsumexp(outputs, axis=1) - jnp.sum(outputs * targets, axis=1))


def lower_triangle(a):
    return np.asarray(a)[np.tril_indices(a.shape[0])]


def dense(product, parameters):
    """The matrix of a symmetric operator: its products with the unit vectors, made symmetric."""
    columns = jax.jit(jax.vmap(product, (None, 1), 1))
    a = np.asarray(columns(parameters, np.eye(parameters.size)))
    return 0.5 * (a + a.T)


def curvature(network, parameters, x, y, loss, tangents):
    """Loss, gradient, Hessian (H) and Gauss-Newton (G) matrix, and their products with `tangents`."""
    outputs = lambda p: jax.vmap(lambda xi: network(p, xi))(x)
    value = lambda p: loss_of(outputs(p), y, loss)

    def hessian(p, v):
        return jax.jvp(jax.grad(value), (p,), (v,))[1]

    def gauss_newton(p, v):
        f, tangent = jax.jvp(outputs, (p,), (v,))
        pulled = jax.jvp(jax.grad(lambda o: loss_of(o, y, loss)), (f,), (tangent,))[1]
        return jax.vjp(outputs, p)[1](pulled)[0]

    block = lambda product: jax.vmap(product, (None, 1), 1)(parameters, tangents)
    arrays = dict(
        theta=parameters, X=x, Y=y, loss_code=LOSSES[loss], V=tangents,
        out=outputs(parameters), loss=value(parameters), grad=jax.grad(value)(parameters),
        HV=block(hessian), GV=block(gauss_newton),
    )  # fmt: skip
    for name, product in (("H", hessian), ("G", gauss_newton)):
        a = dense(product, parameters)
        arrays[f"{name}_diag"] = np.diag(a)
        arrays[f"{name}_trace"] = np.trace(a)
        arrays[f"{name}_fro2"] = np.sum(a * a)
        arrays[f"{name}_eig"] = sla.eigvalsh(a)
        if name == "H":
            arrays["H_tri"] = lower_triangle(a)
    return arrays


def targets(rng, loss, samples, outputs):
    if loss == "ce":
        return np.eye(outputs)[rng.integers(0, outputs, samples)]
    return rng.normal(size=(samples, outputs))


def mlp(sizes, activation, loss, samples, seed, tangents=3):
    """A multilayer perceptron at random weights, on random data."""
    rng = np.random.default_rng(seed)
    code, phi = ACTIVATIONS[activation]
    pairs = list(zip(sizes[:-1], sizes[1:]))
    parameters = np.concatenate(
        [part for i, o in pairs for part in (rng.normal(size=i * o) / np.sqrt(i), 0.1 * rng.normal(size=o))]
    )
    x = rng.normal(size=(samples, sizes[0]))
    y = targets(rng, loss, samples, sizes[-1])
    v = rng.normal(size=(parameters.size, tangents))

    def network(p, h):
        offset = 0
        for l, (i, o) in enumerate(pairs):
            w, b = p[offset : offset + i * o].reshape(o, i), p[offset + i * o : offset + i * o + o]
            offset += i * o + o
            h = w @ h + b
            h = phi(h) if l < len(pairs) - 1 else h
        return h

    return dict(curvature(network, parameters, x, y, loss, v), sizes=np.array(sizes), act_code=code)


def rnn(inputs, hidden, outputs, steps, loss, samples, seed, tangents=3):
    """A recurrent network that is read out after its last step."""
    rng = np.random.default_rng(seed)
    shapes = [(hidden, hidden), (hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
    parameters = np.concatenate(
        [rng.normal(size=np.prod(s)) * (1 / np.sqrt(s[1]) if len(s) == 2 else 0.1) for s in shapes]
    )
    x = rng.normal(size=(samples, steps, inputs))
    y = targets(rng, loss, samples, outputs)
    v = rng.normal(size=(parameters.size, tangents))
    ends = np.cumsum([np.prod(s) for s in shapes])

    def network(p, x):
        parts = [part.reshape(s) for part, s in zip(jnp.split(p, ends[:-1]), shapes)]
        w_hh, w_xh, b_h, w_o, b_o = parts
        step = lambda h, xt: (jnp.tanh(w_hh @ h + w_xh @ xt + b_h), None)
        return w_o @ jax.lax.scan(step, jnp.zeros(hidden), x)[0] + b_o

    arrays = curvature(network, parameters, x, y, loss, v)
    return dict(arrays, dims=np.array([inputs, hidden, outputs, steps, samples, 0]))


def lanczos(a, start, steps):
    """Lanczos with full reorthogonalisation in two passes: alpha, beta."""
    n = a.shape[0]
    basis, alpha, beta = np.zeros((n, steps)), np.zeros(steps), np.zeros(steps - 1)
    q = start / np.linalg.norm(start)
    for j in range(steps):
        basis[:, j] = q
        w = a @ q
        alpha[j] = q @ w
        for _ in range(2):
            w = w - basis[:, : j + 1] @ (basis[:, : j + 1].T @ w)
        if j < steps - 1:
            beta[j] = np.linalg.norm(w)
            q = w / beta[j]
    return alpha, beta


def xtrace(a, probes, sphere):
    """XTrace (Epperly, Tropp and Webber 2024) by its definition: each probe left out in turn."""
    n, k = probes.shape
    terms = np.zeros(k)
    for i in range(k):
        q = np.linalg.qr(a @ np.delete(probes, i, 1))[0]
        w = probes[:, i] - q @ (q.T @ probes[:, i])
        scale = (n - k + 1) / (w @ w) if sphere else 1.0
        terms[i] = np.trace(q.T @ a @ q) + scale * (w @ (a @ w))
    return terms, terms.mean(), terms.std(ddof=1) / np.sqrt(k)


def hutchpp(a, sketch, probes):
    q = np.linalg.qr(a @ sketch)[0]
    rest = probes - q @ (q.T @ probes)
    return np.trace(q.T @ a @ q) + np.sum(rest * (a @ rest)) / probes.shape[1]


def spectrum(eigenvalues, steps, seed, points=512):
    """Lanczos, trace estimates and densities of a dense matrix with these eigenvalues."""
    rng = np.random.default_rng(seed)
    eigenvalues = np.asarray(eigenvalues)
    n = eigenvalues.size
    u = np.linalg.qr(rng.normal(size=(n, n)))[0]
    a = (u * eigenvalues) @ u.T
    a = 0.5 * (a + a.T)
    start = rng.normal(size=n)
    alpha, beta = lanczos(a, start, steps)
    ritz, vectors = sla.eigh_tridiagonal(alpha, beta)
    weight = vectors[0] ** 2
    signs = rng.choice([-1.0, 1.0], size=(n, 24))
    sphere = rng.normal(size=(n, 12))
    sphere = sphere * np.sqrt(n) / np.linalg.norm(sphere, axis=0)
    terms, estimate, error = xtrace(a, sphere, True)
    _, plain, plain_error = xtrace(a, sphere, False)
    products = np.einsum("ij,ij->j", signs, a @ signs)
    # Gaussians of variance 1e-5 max(1, window) on the Ritz range +- 0.01, of unit mass on the grid.
    grid = np.linspace(ritz[0] - 0.01, ritz[-1] + 0.01, points)
    variance = 1e-5 * max(1.0, grid[-1] - grid[0])
    gaussians = np.exp(-((grid[:, None] - ritz) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    density = (weight * gaussians).sum(1)
    density /= density.sum() * (grid[1] - grid[0])
    # Rescaled to [-1, 1] with a margin of 5 %; standard deviation 2 / ((m - 1) sqrt(8 ln 3)).
    low, high = eigenvalues.min(), eigenvalues.max()
    center, radius = (high + low) / 2, (high - low) / 2 + 0.05 * (high - low)
    deviation = 2 / (steps - 1) / np.sqrt(8 * np.log(3.0))
    unit = np.linspace(-1, 1, points)
    distance = (unit[:, None] - (ritz - center) / radius) / deviation
    density2 = (weight / radius * np.exp(-(distance**2) / 2) / (deviation * np.sqrt(2 * np.pi))).sum(1)
    power = lambda p: start @ np.linalg.matrix_power(a, p) @ start / (start @ start)
    return dict(
        A_tri=lower_triangle(a), eig=np.sort(eigenvalues), trace=np.trace(a), fro2=np.sum(a * a), diag=np.diag(a),
        v0=start, alpha=alpha, beta=beta, ritz=ritz, ritz_weight=weight,
        moments=[np.sum(weight * ritz**p) for p in range(6)], moments_exact=[power(p) for p in range(6)],
        probes=signs, hutchinson_terms=products, hutchinson=products.mean(), hutch_diag=np.mean(signs * (a @ signs), 1),
        hutchpp=hutchpp(a, signs[:, :8], signs[:, 8:16]),
        xtrace_probes=sphere, xtrace_terms=terms, xtrace=estimate, xtrace_err=error,
        xtrace_plain=plain, xtrace_plain_err=plain_error,
        density_grid=grid, density=density, density_var=variance, density2_grid=center + radius * unit, density2=density2,
    )  # fmt: skip


def clustered(n, seed):
    """A few outliers above a positive bulk, and a smaller negative one."""
    rng = np.random.default_rng(seed)
    outliers = np.array([25.0, 12.0, 7.0, 6.5, 6.4])[: max(1, min(5, n // 4))]
    positive = (n - outliers.size) * 85 // 115
    negative = n - outliers.size - positive
    bulk = [np.abs(rng.normal(size=positive)) * 0.3, -np.abs(rng.normal(size=negative)) * 0.2]
    return np.concatenate([outliers, *bulk])


def save(path, arrays):
    def plain(value):
        a = np.atleast_1d(np.asarray(value))
        return np.ascontiguousarray(a, np.int64 if a.dtype.kind in "iub" else np.float64)

    np.savez_compressed(path, **{name: plain(value) for name, value in arrays.items()})


def make_all(folder):
    os.makedirs(folder, exist_ok=True)
    cases = {
        "mlp_tanh_mse": lambda: mlp([5, 7, 6, 3], "tanh", "mse", 12, 101),
        "mlp_tanh_ce": lambda: mlp([6, 8, 4], "tanh", "ce", 10, 102),
        "mlp_gelu_mse": lambda: mlp([4, 6, 5, 2], "gelu", "mse", 9, 103),
        "mlp_gelu_ce": lambda: mlp([5, 6, 6, 4], "gelu", "ce", 11, 104),
        "mlp_relu_mse": lambda: mlp([6, 9, 7, 2], "relu", "mse", 12, 105),
        "mlp_relu_ce": lambda: mlp([5, 8, 6, 3], "relu", "ce", 10, 106),
        "mlp_softplus_mse": lambda: mlp([3, 5, 5, 4], "softplus", "mse", 8, 107),
        "mlp_softplus_ce": lambda: mlp([6, 7, 5, 3], "softplus", "ce", 10, 108),
        "rnn_final_mse": lambda: rnn(3, 8, 2, 20, "mse", 4, 113),
        "lanczos_trace_slq": lambda: spectrum(clustered(120, 115), 30, 116),
    }
    for name, make in cases.items():
        save(os.path.join(folder, name + ".npz"), make())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    sizes = lambda text: [int(size) for size in text.split(",")]
    for kind in ("mlp", "rnn"):
        network = kinds.add_parser(kind)
        network.add_argument("--sizes", type=sizes, required=True, help="widths, from inputs to outputs")
        network.add_argument("--loss", choices=LOSSES, default="mse")
        network.add_argument("--samples", type=int, default=10)
        network.add_argument("--tangents", type=int, default=3)
        network.add_argument("--seed", type=int, default=0)
        network.add_argument("out")
        if kind == "mlp":
            network.add_argument("--activation", choices=ACTIVATIONS, default="tanh")
        else:
            network.add_argument("--steps", type=int, default=20)
    matrix = kinds.add_parser("spectrum")
    matrix.add_argument("--size", type=int, default=120)
    matrix.add_argument("--steps", type=int, default=30)
    matrix.add_argument("--seed", type=int, default=0)
    matrix.add_argument("out")
    kinds.add_parser("all").add_argument("folder")
    o = parser.parse_args()
    if o.kind == "mlp":
        if len(o.sizes) < 2:
            parser.error("--sizes: expected at least inputs,outputs")
        save(o.out, mlp(o.sizes, o.activation, o.loss, o.samples, o.seed, o.tangents))
    elif o.kind == "rnn":
        if len(o.sizes) != 3:
            parser.error("--sizes: expected inputs,hidden,outputs")
        save(o.out, rnn(*o.sizes, o.steps, o.loss, o.samples, o.seed, o.tangents))
    elif o.kind == "spectrum":
        if o.size < 24 or not 2 <= o.steps <= o.size:
            parser.error("--size: expected at least 24, and --steps from 2 to the size")
        save(o.out, spectrum(clustered(o.size, o.seed), o.steps, o.seed + 1))
    else:
        make_all(o.folder)


if __name__ == "__main__":
    sys.exit(main())
