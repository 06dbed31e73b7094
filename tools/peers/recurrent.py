"""Works on recurrent networks and their learning rules; see `works.py`."""

from dataclasses import dataclass

import numpy as np

from inputs import uniform
from networks import Mlp, jax_gradient, product_works, torch_gradient
from works import package, work


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
    # Whether the recurrent input of every step is cut from the graph, as the code of arXiv 2206.00823 does it.
    local: bool = False
    leak: float = 0.0

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

    def torch_loss(self, torch):
        x, y = torch.tensor(self.x), torch.tensor(self.y)

        def loss(p):
            h = v = torch.zeros(x.shape[1], p[0].shape[0], dtype=x.dtype)
            for t in range(x.shape[0]):
                u = (h.detach() if self.local else h) @ p[0] + x[t] @ p[1]
                v = self.leak * v + (1 - self.leak) * u if self.leak else u
                h = torch.tanh(v)
            return torch.nn.functional.cross_entropy(h @ p[2] + p[3], y)

        return loss

    def jax_loss(self, jax):
        jnp = package("jax.numpy")
        x, y = jnp.asarray(self.x), jnp.asarray(self.y)[:, None]

        def loss(p):
            step = lambda h, x: (jnp.tanh(h @ p[0] + x @ p[1]), None)
            h, _ = jax.lax.scan(step, jnp.zeros((x.shape[1], p[0].shape[0]), x.dtype), x)
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h @ p[2] + p[3]), y, 1))

        return loss


for sizes, dtype, real, tolerance in (
    ((128, 28, 10, 28, 512), "f32", np.float32, 1e-4),
    ((64, 2, 2, 100, 128), "f64", np.float64, 1e-11),
):
    name = "rnn_{}-{}-{}_T{}_B{}".format(*sizes)
    problem = lambda s=sizes, r=real, **kind: Rnn(s, r, **kind)
    product_works(name, dtype, tolerance, problem, 4)
    gradient = lambda problem=problem, **kind: lambda: torch_gradient(problem(**kind))
    work(f"bptt_{name}", dtype, tolerance, torch=gradient(), jax=lambda problem=problem: jax_gradient(problem()))
    work(f"three_factor_{name}", dtype, tolerance, torch=gradient(local=True))
    leaky = name.replace("rnn", "leaky_rnn")
    work(f"bptt_{leaky}", dtype, tolerance, torch=gradient(leak=0.6))
    work(f"three_factor_{leaky}", dtype, tolerance, torch=gradient(leak=0.6, local=True))
