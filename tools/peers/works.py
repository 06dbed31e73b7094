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
        self.weights = [make(10 + l, shape) * np.sqrt(2 / n) for l, (shape, n) in enumerate(zip(shapes, inputs))]
        self.weights = [w.astype(self.dtype) for w in self.weights]
        self.tangents = [make(50 + l, shape) for l, shape in enumerate(shapes)]

    answer = staticmethod(Mlp.answer)


def torch_conv_loss(torch, conv):
    x, y = torch.tensor(conv.x), torch.tensor(conv.y)

    def loss(p):
        h = x
        for w in p[:-1]:
            h = torch.nn.functional.conv2d(h, w, padding=1)
            h = torch.nn.functional.max_pool2d(torch.relu(h), 2)
        return torch.nn.functional.cross_entropy(h.flatten(1) @ p[-1].T, y)

    return loss


def torch_conv_gradient(conv):
    torch = package("torch")
    p = [torch.tensor(w, requires_grad=True) for w in conv.weights]
    loss = torch_conv_loss(torch, conv)
    return lambda: torch.autograd.grad(loss(p), p), conv.answer


def torch_conv_hvp(conv):
    """Double backward with the graph of the gradient kept between products."""
    torch = package("torch")
    p = [torch.tensor(w, requires_grad=True) for w in conv.weights]
    v = [torch.tensor(t) for t in conv.tangents]
    gradient = torch.autograd.grad(torch_conv_loss(torch, conv)(p), p, create_graph=True)
    return lambda: torch.autograd.grad(gradient, p, v, retain_graph=True), conv.answer


for dtype, real in (("f32", np.float32), ("f64", np.float64)):
    # In f32 two elements of a window can be so close that rounding decides which is the maximum.
    tolerance = {"f32": 1e-3, "f64": 1e-10}[dtype]
    make = lambda f, r=real: lambda: f(Conv((3, 32, 64, 128), 128, r))
    work("gradient_conv_3_32_64_128_B128", dtype, tolerance, torch=make(torch_conv_gradient))
    work("hvp_conv_3_32_64_128_B128", dtype, tolerance, torch=make(torch_conv_hvp))


# ------------------------------------------------------------------ recurrent networks
@dataclass
class Rnn:
    """Cross entropy of y = O h_T + c with h_t = tanh(W h_{t-1} + U x_t) on inputs, labels and tangents that
    both sides make alike.

    Stream 1: inputs (B x T x inputs). Stream 2: labels, the class of the largest of `outputs` values.
    Streams 10 to 13: W (units x units), U (units x inputs), O (outputs x units), each over the square root
    of its inputs, and c; streams 50 to 53: their tangents, not scaled. Those of number k of a block come from
    streams 100 k further on. Here all of them are inputs x outputs, for products from the left.
    """

    sizes: tuple
    dtype: type

    def __post_init__(self):
        units, inputs, outputs, steps, batch = self.sizes
        self.shapes = [(units, units), (units, inputs), (outputs, units), (outputs,)]
        x = uniform(1, batch, steps, inputs, dtype=self.dtype)
        self.x = np.ascontiguousarray(x.transpose(1, 0, 2))
        self.y = uniform(2, batch, outputs).argmax(1)
        fan = lambda shape: shape[1] if len(shape) > 1 else 1
        self.theta = [self.array(10 + k, s, fan(s)) for k, s in enumerate(self.shapes)]
        self.tangents = self.block(1)[0]

    def array(self, seed, shape, inputs=1):
        return np.ascontiguousarray((uniform(seed, *shape) / np.sqrt(inputs)).astype(self.dtype).T)

    def block(self, count):
        return [[self.array(50 + 100 * k + l, s) for l, s in enumerate(self.shapes)] for k in range(count)]

    @staticmethod
    def answer(parts):
        return Mlp.answer([np.asarray(part).T for part in parts])

    @classmethod
    def block_answer(cls, blocks):
        return np.concatenate([cls.answer(parts) for parts in blocks])


def torch_rnn_loss(torch, rnn, local=False, leak=0.0):
    """With `local` the recurrent input of every step is cut from the graph, as the code of arXiv 2206.00823
    does it."""
    x, y = torch.tensor(rnn.x), torch.tensor(rnn.y)

    def loss(p):
        h = v = torch.zeros(x.shape[1], p[0].shape[0], dtype=x.dtype)
        for t in range(x.shape[0]):
            u = (h.detach() if local else h) @ p[0] + x[t] @ p[1]
            v = leak * v + (1 - leak) * u if leak else u
            h = torch.tanh(v)
        return torch.nn.functional.cross_entropy(h @ p[2] + p[3], y)

    return loss


def torch_rnn_gradient(rnn, **kind):
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in rnn.theta]
    loss = torch_rnn_loss(torch, rnn, **kind)
    return lambda: torch.autograd.grad(loss(p), p), rnn.answer


def torch_rnn_hvp(rnn):
    """Double backward with the graph of the gradient kept between products."""
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in rnn.theta]
    v = [torch.tensor(t) for t in rnn.tangents]
    gradient = torch.autograd.grad(torch_rnn_loss(torch, rnn)(p), p, create_graph=True)
    return lambda: torch.autograd.grad(gradient, p, v, retain_graph=True), rnn.answer


def torch_rnn_hvp_block4(rnn):
    """One double backward after the other: batched ones are slower on a processor."""
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in rnn.theta]
    blocks = [[torch.tensor(a) for a in block] for block in rnn.block(4)]
    gradient = torch.autograd.grad(torch_rnn_loss(torch, rnn)(p), p, create_graph=True)
    run = lambda: [torch.autograd.grad(gradient, p, v, retain_graph=True) for v in blocks]
    return run, rnn.block_answer


def jax_rnn_loss(jax, rnn):
    jnp = package("jax.numpy")
    x, y = jnp.asarray(rnn.x), jnp.asarray(rnn.y)[:, None]

    def loss(p):
        step = lambda h, x: (jnp.tanh(h @ p[0] + x @ p[1]), None)
        h, _ = jax.lax.scan(step, jnp.zeros((x.shape[1], p[0].shape[0]), x.dtype), x)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h @ p[2] + p[3]), y, 1))

    return loss


def jax_rnn_gradient(rnn):
    jax = package("jax")
    gradient = jax.jit(jax.grad(jax_rnn_loss(jax, rnn)))
    p = [jax.numpy.asarray(a) for a in rnn.theta]
    return lambda: jax.block_until_ready(gradient(p)), rnn.answer


def jax_rnn_hvp(rnn):
    """Forward over reverse, compiled."""
    jax = package("jax")
    loss = jax_rnn_loss(jax, rnn)
    product = jax.jit(lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1])
    p = [jax.numpy.asarray(a) for a in rnn.theta]
    v = [jax.numpy.asarray(a) for a in rnn.tangents]
    return lambda: jax.block_until_ready(product(p, v)), rnn.answer


def jax_rnn_hvp_block4(rnn):
    """Forward over reverse, mapped over four tangents, compiled."""
    jax = package("jax")
    loss = jax_rnn_loss(jax, rnn)
    one = lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1]
    product = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    p = [jax.numpy.asarray(a) for a in rnn.theta]
    v = [jax.numpy.stack(arrays) for arrays in zip(*rnn.block(4))]
    answer = lambda parts: rnn.block_answer([[part[k] for part in parts] for k in range(4)])
    return lambda: jax.block_until_ready(product(p, v)), answer


for sizes, dtype, real, tolerance in (
    ((128, 28, 10, 28, 512), "f32", np.float32, 1e-4),
    ((64, 2, 2, 100, 128), "f64", np.float64, 1e-11),
):
    name = "rnn_{}-{}-{}_T{}_B{}".format(*sizes)
    make = lambda f, s=sizes, r=real: lambda: f(Rnn(s, r))
    work(f"gradient_{name}", dtype, tolerance, torch=make(torch_rnn_gradient), jax=make(jax_rnn_gradient))
    work(f"hvp_{name}", dtype, tolerance, torch=make(torch_rnn_hvp), jax=make(jax_rnn_hvp))
    work(f"hvp_block4_{name}", dtype, tolerance,
         torch=make(torch_rnn_hvp_block4), jax=make(jax_rnn_hvp_block4))
    work(f"bptt_{name}", dtype, tolerance, torch=make(torch_rnn_gradient), jax=make(jax_rnn_gradient))
    kind = lambda s=sizes, r=real, **kind: lambda: torch_rnn_gradient(Rnn(s, r), **kind)
    work(f"three_factor_{name}", dtype, tolerance, torch=kind(local=True))
    leaky = name.replace("rnn", "leaky_rnn")
    work(f"bptt_{leaky}", dtype, tolerance, torch=kind(leak=0.6))
    work(f"three_factor_{leaky}", dtype, tolerance, torch=kind(leak=0.6, local=True))


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


def torch_vit_loss(torch, vit):
    f = torch.nn.functional
    x = torch.tensor(vit.x).reshape(-1, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 64, 48).contiguous()
    y = torch.tensor(vit.y)

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


def torch_vit_gradient(vit):
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in vit.theta]
    loss = torch_vit_loss(torch, vit)
    return lambda: torch.autograd.grad(loss(p), p), vit.answer


def torch_vit_hvp(vit):
    """Double backward with the graph of the gradient kept between products."""
    torch = package("torch")
    p = [torch.tensor(a, requires_grad=True) for a in vit.theta]
    v = [torch.tensor(a) for a in vit.tangents]
    gradient = torch.autograd.grad(torch_vit_loss(torch, vit)(p), p, create_graph=True)
    return lambda: torch.autograd.grad(gradient, p, v, retain_graph=True), vit.answer


for dtype, real, tolerance in (("f32", np.float32, 1e-4), ("f64", np.float64, 1e-11)):
    # 64 images in single precision are the work to beat; in double a few are enough to compare numbers.
    batch = {"f32": 64, "f64": 8}[dtype]
    make = lambda f, b=batch, r=real: lambda: f(VisionTransformer(b, r))
    work(f"gradient_vit_B{batch}", dtype, tolerance, torch=make(torch_vit_gradient))
    work(f"hvp_vit_B{batch}", dtype, tolerance, torch=make(torch_vit_hvp))


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


def scipy_toy1d():
    """600 iterations of L-BFGS-B, memory 6, on the smoothed masked regression of five injections."""
    optimize = package("scipy.optimize")
    n, count, factor = 100, 5, 100.0 * 5 / 100
    grid = np.arange(n) / (n - 1)
    x = np.zeros((n, count))
    for e in range(count):
        x[20 * e + 4 : 20 * e + 18, e] = 1.0
    truth = np.exp(-(((grid[None, :] - grid[:, None]) / 0.4) ** 2))
    truth += 0.9 * np.exp(-((grid[None, :] - 0.8) ** 2 + (grid[:, None] - 0.1) ** 2) / 0.04)
    observed = 1.0 - x
    y = observed * (truth @ x)

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
                                 options={"maxcor": 6, "maxiter": 600, "maxfun": 5000, "ftol": 0, "gtol": 0})

    # Paths of 600 steps differ by rounding; both must have come as far down.
    return run, lambda result: np.array([result.fun])


work("toy1d_lbfgsb_600", "f64", 0.2, scipy=scipy_toy1d)


def scipy_toy1d_minimum():
    """L-BFGS-B on 200 x 200 weights until it is within 3e-4 of the minimum, which ours finds to a certificate."""
    optimize = package("scipy.optimize")
    n, count, factor = 200, 5, 100.0 * 5 / 200
    minimum = 1.4966965858
    grid = np.arange(n) / (n - 1)
    x = np.zeros((n, count))
    for e in range(count):
        x[40 * e + 8 : 40 * e + 36, e] = 1.0
    truth = np.exp(-(((grid[None, :] - grid[:, None]) / 0.4) ** 2))
    truth += 0.9 * np.exp(-((grid[None, :] - 0.8) ** 2 + (grid[:, None] - 0.1) ** 2) / 0.04)
    observed = 1.0 - x
    waves = 0.4 * np.sin(37.0 * np.arange(n)[:, None] + 101.0 * np.arange(count))
    y = observed * (truth @ x + waves)

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

    def enough(intermediate_result):
        if intermediate_result.fun <= minimum * (1 + 3e-4):
            raise StopIteration

    def run():
        return optimize.minimize(objective, np.zeros(n * n), jac=True, method="L-BFGS-B", bounds=[(0, None)] * (n * n),
                                 callback=enough, options={"maxcor": 20, "maxiter": 40_000, "maxfun": 100_000, "ftol": 0, "gtol": 0})

    return run, lambda result: np.array([result.fun])


work("toy1d_minimum_200", "f64", 1e-3, scipy=scipy_toy1d_minimum)


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


# ------------------------------------------------------------------ a file a method
import similarity  # noqa: E402, F401
