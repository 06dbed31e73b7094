"""Works on networks: gradients, Hessian products, all Jacobians, steps of gradient descent; see `works.py`."""

from dataclasses import dataclass

import numpy as np

from inputs import uniform
from works import package, work


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

    @property
    def theta(self):
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

    @staticmethod
    def answer(parts):
        """The sum of each part weighted by stream 90: a number that depends on every entry."""
        flat = [np.asarray(p, dtype=np.float64).ravel() for p in parts]
        return np.array([p @ uniform(90, p.size) for p in flat])

    def torch_loss(self, torch):
        n = len(self.sizes) - 1
        x, y = torch.tensor(self.x), torch.tensor(self.y)

        def loss(p):
            h = x
            for l in range(n):
                h = h @ p[l] + p[n + l]
                h = torch.tanh(h) if l < n - 1 else h
            return torch.nn.functional.cross_entropy(h, y)

        return loss

    def jax_loss(self, jax):
        jnp = package("jax.numpy")
        n = len(self.sizes) - 1
        x, y = jnp.asarray(self.x), jnp.asarray(self.y)[:, None]

        def loss(p):
            h = x
            for l in range(n):
                h = h @ p[l] + p[n + l]
                h = jnp.tanh(h) if l < n - 1 else h
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), y, 1))

        return loss


# ------------------------------------------------------------------ gradients and Hessian products
# Of a problem with arrays `theta` and `tangents`, and `block(count)` tangents side by side; `torch_loss` and
# `jax_loss` give the loss as a function of the arrays, `answer` makes numbers of a gradient.
def torch_arrays(problem):
    torch = package("torch")
    return torch, [torch.tensor(a, requires_grad=True) for a in problem.theta]


def torch_gradient(problem):
    torch, p = torch_arrays(problem)
    loss = problem.torch_loss(torch)
    return lambda: torch.autograd.grad(loss(p), p), problem.answer


def torch_hvp(problem):
    """Double backward with the graph of the gradient kept between products."""
    torch, p = torch_arrays(problem)
    v = [torch.tensor(a) for a in problem.tangents]
    gradient = torch.autograd.grad(problem.torch_loss(torch)(p), p, create_graph=True)
    return lambda: torch.autograd.grad(gradient, p, v, retain_graph=True), problem.answer


def torch_hvp_block(problem, count):
    """One double backward after the other: batched ones are slower on a processor."""
    torch, p = torch_arrays(problem)
    blocks = [[torch.tensor(a) for a in block] for block in problem.block(count)]
    gradient = torch.autograd.grad(problem.torch_loss(torch)(p), p, create_graph=True)
    run = lambda: [torch.autograd.grad(gradient, p, v, retain_graph=True) for v in blocks]
    return run, lambda blocks: block_answer(problem, blocks)


def jax_arrays(problem):
    jax = package("jax")
    return jax, [jax.numpy.asarray(a) for a in problem.theta]


def jax_gradient(problem):
    jax, p = jax_arrays(problem)
    gradient = jax.jit(jax.grad(problem.jax_loss(jax)))
    return lambda: jax.block_until_ready(gradient(p)), problem.answer


def jax_hvp(problem):
    """Forward over reverse, compiled."""
    jax, p = jax_arrays(problem)
    loss = problem.jax_loss(jax)
    product = jax.jit(lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1])
    v = [jax.numpy.asarray(a) for a in problem.tangents]
    return lambda: jax.block_until_ready(product(p, v)), problem.answer


def jax_hvp_block(problem, count):
    """Forward over reverse, mapped over the tangents, compiled."""
    jax, p = jax_arrays(problem)
    loss = problem.jax_loss(jax)
    one = lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1]
    product = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    v = [jax.numpy.stack(arrays) for arrays in zip(*problem.block(count))]
    answer = lambda parts: block_answer(problem, [[part[k] for part in parts] for k in range(count)])
    return lambda: jax.block_until_ready(product(p, v)), answer


def block_answer(problem, blocks):
    return np.concatenate([problem.answer(parts) for parts in blocks])


def product_works(name, dtype, tolerance, problem, block, peers=("torch", "jax")):
    """The gradient, a Hessian product, and a block of them if `block` is not 0."""
    of = {"torch": (torch_gradient, torch_hvp, torch_hvp_block), "jax": (jax_gradient, jax_hvp, jax_hvp_block)}
    some = lambda which: {peer: lambda f=of[peer][which]: f(problem()) for peer in peers}
    work(f"gradient_{name}", dtype, tolerance, **some(0))
    work(f"hvp_{name}", dtype, tolerance, **some(1))
    if block:
        blocks = {peer: lambda f=of[peer][2]: f(problem(), block) for peer in peers}
        work(f"hvp_block{block}_{name}", dtype, tolerance, **blocks)


def torch_jacobian_measures(mlp):
    """One backward pass for every sample and output, batch of one, each for the gradients of all
    parameters and of the inputs of all layers at once. S, MLS, NMLS, mean log volume and mean local dimension."""
    torch, p = torch_arrays(mlp)
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
    torch, p = torch_arrays(mlp)
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
        product_works(name, dtype, tolerance, lambda s=sizes, b=batch, r=real: Mlp(s, b, r), 8)


# ------------------------------------------------------------------ mini-batch gradient descent
def torch_sgd_step(mlp, batch):
    """Twenty samples out of all, mean squared error to one-hot rows, backward, torch.optim.SGD."""
    torch = package("torch")
    layers = []
    for l, (i, o) in enumerate(zip(mlp.sizes, mlp.sizes[1:])):
        layers += [torch.nn.Linear(i, o, dtype=getattr(torch, np.dtype(mlp.dtype).name)), torch.nn.Tanh()]
        with torch.no_grad():
            layers[-2].weight.copy_(torch.tensor(mlp.weights[l].T.copy()))
            layers[-2].bias.copy_(torch.tensor(mlp.biases[l]))
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.tensor(mlp.x)
    y = torch.tensor(np.eye(mlp.sizes[-1], dtype=mlp.dtype)[mlp.y])
    indices = torch.tensor([37 * i % mlp.batch for i in range(batch)])

    def run():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x[indices]), y[indices])
        loss.backward()
        optimizer.step()
        return model

    def answer(model):
        parts = [layer.weight.detach().T.numpy() for layer in model if hasattr(layer, "weight")]
        parts += [layer.bias.detach().numpy() for layer in model if hasattr(layer, "bias")]
        return mlp.answer(parts)

    return run, answer


for batch in (8, 20, 32):
    work(f"sgd_step_{batch}_mlp_64-64-64-10_B500", "f64", 1e-11,
         torch=lambda batch=batch: torch_sgd_step(Mlp((64, 64, 64, 10), 500, np.float64), batch))


# ------------------------------------------------------------------ convolutional networks
@dataclass
class Conv:
    """Cross entropy of 3 x 3 convolutions (padding 1), each with ReLU and maxima over 2 x 2, and one
    dense layer to ten classes, on images of 32 x 32; no biases.

    Stream 1: images (B x channels x 32 x 32). Stream 2: labels, the class of the largest of ten
    values. Stream 10 + l: weights (out x in x 3 x 3, the last out x in), scaled by sqrt(2/inputs of a
    unit); stream 50 + l: their tangents, not scaled.
    """

    channels: tuple
    batch: int
    dtype: type

    def __post_init__(self):
        pairs = list(zip(self.channels, self.channels[1:]))
        shapes = [(o, i, 3, 3) for i, o in pairs]
        shapes.append((10, self.channels[-1] * (32 >> len(pairs)) ** 2))
        self.x = uniform(1, self.batch, self.channels[0], 32, 32, dtype=self.dtype)
        self.y = uniform(2, self.batch, 10).argmax(1)
        make = lambda l, shape: uniform(l, *shape, dtype=self.dtype)
        inputs = [np.prod(shape[1:]) for shape in shapes]
        self.theta = [make(10 + l, shape) * np.sqrt(2 / n) for l, (shape, n) in enumerate(zip(shapes, inputs))]
        self.theta = [w.astype(self.dtype) for w in self.theta]
        self.tangents = [make(50 + l, shape) for l, shape in enumerate(shapes)]

    answer = staticmethod(Mlp.answer)

    def torch_loss(self, torch):
        x, y = torch.tensor(self.x), torch.tensor(self.y)

        def loss(p):
            h = x
            for w in p[:-1]:
                h = torch.nn.functional.conv2d(h, w, padding=1)
                h = torch.nn.functional.max_pool2d(torch.relu(h), 2)
            return torch.nn.functional.cross_entropy(h.flatten(1) @ p[-1].T, y)

        return loss


for dtype, real in (("f32", np.float32), ("f64", np.float64)):
    # In f32 two elements of a window can be so close that rounding decides which is the maximum.
    tolerance = {"f32": 1e-3, "f64": 1e-10}[dtype]
    problem = lambda r=real: Conv((3, 32, 64, 128), 128, r)
    product_works("conv_3_32_64_128_B128", dtype, tolerance, problem, 0, ("torch",))


# ------------------------------------------------------------------ a small vision transformer
@dataclass
class VisionTransformer:
    """Cross entropy of the transformer `VisionTransformer::tiny` on images, labels and tangents that both
    sides make alike: patches of 4, 192 wide, six blocks of three heads, 768 hidden units, exact GELU.

    Stream 1: images (B x 3 x 32 x 32). Stream 2: labels, the class of the largest of ten values.
    Array number k of the parameters, in our order: stream 1000 + k times 1/sqrt(inputs) for weights, 0.1
    for the others, plus 1 for the scales of norms; its tangent: stream 2000 + k.
    """

    batch: int
    dtype: type

    def __post_init__(self):
        w, h = 192, 768
        norm = [("scale", (w,)), ("shift", (w,))]
        dense = lambda o, i: [("weight", (o, i)), ("bias", (o,))]
        block = norm + dense(3 * w, w) + dense(w, w) + norm + dense(h, w) + dense(w, h)
        arrays = dense(w, 48) + [("token", (w,)), ("position", (65, w))] + 6 * block + norm + dense(10, w)
        self.x = uniform(1, self.batch, 3, 32, 32, dtype=self.dtype)
        self.y = uniform(2, self.batch, 10).argmax(1)
        self.theta, self.tangents = [], []
        for k, (kind, shape) in enumerate(arrays):
            values = uniform(1000 + k, *shape) * (shape[-1] ** -0.5 if kind == "weight" else 0.1)
            self.theta.append((values + (kind == "scale")).astype(self.dtype))
            self.tangents.append(uniform(2000 + k, *shape, dtype=self.dtype))

    answer = staticmethod(Mlp.answer)

    def torch_loss(self, torch):
        f = torch.nn.functional
        x = torch.tensor(self.x).reshape(-1, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 64, 48).contiguous()
        y = torch.tensor(self.y)

        def loss(parameters):
            p = iter(parameters)
            linear = lambda h: f.linear(h, next(p), next(p))
            norm = lambda h: f.layer_norm(h, (192,), next(p), next(p))
            h = linear(x)
            token = next(p).expand(h.shape[0], 1, 192)
            h = torch.cat([token, h], 1) + next(p)
            for _ in range(6):
                qkv = linear(norm(h)).reshape(-1, 65, 3, 3, 64).permute(2, 0, 3, 1, 4)
                q, k, v = qkv.unbind(0)
                a = torch.softmax(q @ k.transpose(-2, -1) / 8.0, -1)
                h = h + linear((a @ v).transpose(1, 2).reshape(-1, 65, 192))
                h = h + linear(f.gelu(linear(norm(h))))
            return f.cross_entropy(linear(norm(h[:, 0])), y)

        return loss


for dtype, real, tolerance in (("f32", np.float32, 1e-4), ("f64", np.float64, 1e-11)):
    # 64 images in single precision are the work to beat; in double a few are enough to compare numbers.
    batch = {"f32": 64, "f64": 8}[dtype]
    problem = lambda b=batch, r=real: VisionTransformer(b, r)
    product_works(f"vit_B{batch}", dtype, tolerance, problem, 0, ("torch",))
