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


# ------------------------------------------------------------------ multilayer perceptrons
@dataclass
class Mlp:
    """Cross entropy of a tanh network on inputs, labels and tangents that both sides make alike.

    Stream 1: inputs (B x d). Stream 2: labels, the class of the largest of `classes` values.
    Stream 10 + l and 30 + l: weights (in x out, scaled by 1/sqrt(in)) and biases (scaled by 0.1) of
    layer l; streams 50 + l and 70 + l: the tangents of both, not scaled.
    """

    sizes: tuple
    batch: int
    dtype: type

    def __post_init__(self):
        pairs = list(zip(self.sizes, self.sizes[1:]))
        make = lambda seed, *shape: uniform(seed, *shape, dtype=self.dtype)
        self.x = make(1, self.batch, self.sizes[0])
        self.y = uniform(2, self.batch, self.sizes[-1]).argmax(1)
        self.weights = [uniform(10 + l, i, o).astype(self.dtype) for l, (i, o) in enumerate(pairs)]
        self.weights = [(w / np.sqrt(i)).astype(self.dtype) for w, (i, _) in zip(self.weights, pairs)]
        self.biases = [(0.1 * uniform(30 + l, o)).astype(self.dtype) for l, (_, o) in enumerate(pairs)]
        self.tangents = [make(50 + l, i, o) for l, (i, o) in enumerate(pairs)]
        self.tangents += [make(70 + l, o) for l, (_, o) in enumerate(pairs)]

    def parameters(self):
        return self.weights + self.biases

    def block(self, count):
        """`count` tangents side by side: those of number k come from streams 100 k further on."""
        pairs = list(zip(self.sizes, self.sizes[1:]))
        make = lambda seed, *shape: uniform(seed, *shape, dtype=self.dtype)
        blocks = []
        for k in range(count):
            block = [make(50 + 100 * k + l, i, o) for l, (i, o) in enumerate(pairs)]
            blocks.append(block + [make(70 + 100 * k + l, o) for l, (_, o) in enumerate(pairs)])
        return blocks

    @classmethod
    def block_answer(cls, blocks):
        return np.concatenate([cls.answer(parts) for parts in blocks])

    @staticmethod
    def answer(parts):
        """The sum of each part weighted by stream 90: a number that depends on every entry."""
        flat = [np.asarray(p, dtype=np.float64).ravel() for p in parts]
        return np.array([p @ uniform(90, p.size) for p in flat])


def torch_loss(torch, mlp):
    n = len(mlp.sizes) - 1
    x, y = torch.tensor(mlp.x), torch.tensor(mlp.y)

    def loss(p):
        h = x
        for l in range(n):
            h = h @ p[l] + p[n + l]
            h = torch.tanh(h) if l < n - 1 else h
        return torch.nn.functional.cross_entropy(h, y)

    return loss


def torch_gradient(mlp):
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in mlp.parameters()]
    loss = torch_loss(torch, mlp)
    return lambda: torch.autograd.grad(loss(p), p), mlp.answer


def torch_hvp(mlp):
    """Double backward with the graph of the gradient kept between products."""
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in mlp.parameters()]
    v = [torch.tensor(a) for a in mlp.tangents]
    gradient = torch.autograd.grad(torch_loss(torch, mlp)(p), p, create_graph=True)
    return lambda: torch.autograd.grad(gradient, p, v, retain_graph=True), mlp.answer


def torch_hvp_block8(mlp):
    """One double backward after the other: batched ones are slower on a processor."""
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in mlp.parameters()]
    blocks = [[torch.tensor(a) for a in block] for block in mlp.block(8)]
    gradient = torch.autograd.grad(torch_loss(torch, mlp)(p), p, create_graph=True)
    run = lambda: [torch.autograd.grad(gradient, p, v, retain_graph=True) for v in blocks]
    return run, mlp.block_answer


def jax_loss(jax, mlp):
    jnp = package("jax.numpy")
    n = len(mlp.sizes) - 1
    x, y = jnp.asarray(mlp.x), jnp.asarray(mlp.y)[:, None]

    def loss(p):
        h = x
        for l in range(n):
            h = h @ p[l] + p[n + l]
            h = jnp.tanh(h) if l < n - 1 else h
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), y, 1))

    return loss


def jax_gradient(mlp):
    jax = package("jax")
    gradient = jax.jit(jax.grad(jax_loss(jax, mlp)))
    p = [jax.numpy.asarray(a) for a in mlp.parameters()]
    return lambda: jax.block_until_ready(gradient(p)), mlp.answer


def jax_hvp(mlp):
    """Forward over reverse, compiled."""
    jax = package("jax")
    loss = jax_loss(jax, mlp)
    product = jax.jit(lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1])
    p = [jax.numpy.asarray(a) for a in mlp.parameters()]
    v = [jax.numpy.asarray(a) for a in mlp.tangents]
    return lambda: jax.block_until_ready(product(p, v)), mlp.answer


def jax_hvp_block8(mlp):
    """Forward over reverse, mapped over eight tangents, compiled."""
    jax = package("jax")
    loss = jax_loss(jax, mlp)
    one = lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1]
    product = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    p = [jax.numpy.asarray(a) for a in mlp.parameters()]
    v = [jax.numpy.stack(arrays) for arrays in zip(*mlp.block(8))]
    answer = lambda parts: mlp.block_answer([[part[k] for part in parts] for k in range(8)])
    return lambda: jax.block_until_ready(product(p, v)), answer


def torch_jacobian_measures(mlp):
    """One backward pass for every sample and output, batch of one, each for the gradients of all
    parameters and of the inputs of all layers at once. S, MLS, NMLS, mean log volume and mean local dimension."""
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in mlp.parameters()]
    x, n, outputs = torch.tensor(mlp.x), len(mlp.sizes) - 1, mlp.sizes[-1]

    def run():
        sharpness, sensitivity, total, volume, dimension = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(mlp.batch):
            h, inputs = x[i].clone().requires_grad_(), []
            for l in range(n):
                inputs.append(h)
                h = h @ p[l] + p[n + l]
                h = torch.tanh(h) if l < n - 1 else h
            rows = [[] for _ in inputs]
            for j in range(outputs):
                gradients = torch.autograd.grad(h[j], p + inputs, retain_graph=True)
                sharpness += sum((g * g).sum().item() for g in gradients[:2 * n])
                for row, g in zip(rows, gradients[2 * n:]):
                    row.append(g)
            values = [torch.linalg.svdvals(torch.stack(row)) for row in rows]
            sensitivity += values[0][0].item()
            total += sum(s[0].item() for s in values)
            volume += values[0].log().sum().item()
            squares = values[0] ** 2
            dimension += (squares.sum() ** 2 / (squares ** 2).sum()).item()
        return np.array([sharpness, sensitivity, total, volume, dimension]) / mlp.batch

    return run, lambda measures: measures


def torch_jacobian_measures_repeated(mlp):
    """The same as the code of arXiv 2310.01770 does it: passes of one sample and one output, first for
    the gradients of the parameters, then again for the inputs of every layer."""
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in mlp.parameters()]
    x, n, outputs = torch.tensor(mlp.x), len(mlp.sizes) - 1, mlp.sizes[-1]

    def forward(h, first=0):
        for l in range(first, n):
            h = h @ p[l] + p[n + l]
            h = torch.tanh(h) if l < n - 1 else h
        return h

    def run():
        sharpness, sensitivity, total, volume, dimension = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(mlp.batch):
            f = forward(x[i])
            for j in range(outputs):
                gradients = torch.autograd.grad(f[j], p, retain_graph=True)
                sharpness += sum((g * g).sum().item() for g in gradients)
            h = x[i]
            for l in range(n):
                start = h.detach().requires_grad_()
                f = forward(start, l)
                rows = [torch.autograd.grad(f[j], start, retain_graph=True)[0] for j in range(outputs)]
                s = torch.linalg.svdvals(torch.stack(rows))
                total += s[0].item()
                if l == 0:
                    sensitivity += s[0].item()
                    volume += s.log().sum().item()
                    dimension += ((s ** 2).sum() ** 2 / (s ** 4).sum()).item()
                h = torch.tanh(h @ p[l] + p[n + l])
        return np.array([sharpness, sensitivity, total, volume, dimension]) / mlp.batch

    return run, lambda measures: measures


for dtype in ("f32", "f64"):
    real = {"f32": np.float32, "f64": np.float64}[dtype]
    sizes = (784, 500, 500, 500, 10)
    work("jacobian_measures_mlp_784-500-500-500-10_B20", dtype, {"f32": 1e-4, "f64": 1e-10}[dtype],
         torch=lambda real=real, sizes=sizes: torch_jacobian_measures(Mlp(sizes, 20, real)),
         torch_repeated=lambda real=real, sizes=sizes: torch_jacobian_measures_repeated(Mlp(sizes, 20, real)))

for name, sizes, batch, dtypes in (
    ("mlp_784-512-512-10_B2048", (784, 512, 512, 10), 2048, ("f32", "f64")),
    ("mlp_64-100-100-10_B1797", (64, 100, 100, 10), 1797, ("f64",)),
):
    for dtype in dtypes:
        real = {"f32": np.float32, "f64": np.float64}[dtype]
        tolerance = {"f32": 1e-4, "f64": 1e-11}[dtype]
        make = lambda f, s=sizes, b=batch, r=real: lambda: f(Mlp(s, b, r))
        work(f"gradient_{name}", dtype, tolerance, torch=make(torch_gradient), jax=make(jax_gradient))
        work(f"hvp_{name}", dtype, tolerance, torch=make(torch_hvp), jax=make(jax_hvp))
        work(f"hvp_block8_{name}", dtype, tolerance,
             torch=make(torch_hvp_block8), jax=make(jax_hvp_block8))


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
