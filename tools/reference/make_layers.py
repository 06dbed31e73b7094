#!/usr/bin/env python3
"""Reference files for normalisation, attention and embedding layers, made with JAX in float64.

    python make_layers.py DIR

Writes layer_norm_mlp, batch_norm_mlp, causal_transformer, cross_attention and tiny_vit, the networks
that tests/layers.rs builds in Rust. Requirements: requirements.txt.

Conventions. Cross entropy, mean over samples; scalars have shape (1,). theta holds the arrays of one
layer after the other: dense W (outputs x inputs), b; norms scale, shift; embeddings their table; class
token; positions. Tangents V are P x 3. X holds one sample a row; Y one-hot rows.
Attention: softmax(Q K^T / sqrt(d)) V head by head, Q, K, V side by side, each head after head. GELU is
the exact one. epsilon = 1e-5. Variances divide by the number of values. Batch norm uses the batch.
"""

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import jax.numpy as jnp
import numpy as np

EPSILON = 1e-5
gelu = lambda z: jax.nn.gelu(z, approximate=False)


class Reader:
    """Takes arrays from theta, one after the other; without theta, counts and draws them."""

    def __init__(self, theta=None, rng=None):
        self.theta, self.rng, self.at, self.drawn = theta, rng, 0, []

    def take(self, *shape, mean=0.0, deviation=0.5):
        n = int(np.prod(shape))
        if self.theta is None:
            self.drawn.append(mean + deviation * self.rng.normal(size=n))
            return jnp.asarray(self.drawn[-1].reshape(shape))
        part = self.theta[self.at : self.at + n].reshape(shape)
        self.at += n
        return part


def dense(p, x, outputs, phi=lambda z: z):
    inputs = x.shape[-1]
    w = p.take(outputs, inputs, deviation=1 / np.sqrt(inputs))
    return phi(x @ w.T + p.take(outputs, deviation=0.2))


def standardize(x, axis):
    d = x - x.mean(axis, keepdims=True)
    return d / jnp.sqrt((d * d).mean(axis, keepdims=True) + EPSILON)


def scale_and_shift(p, x):
    n = x.shape[-1]
    scale = p.take(n, mean=1.0, deviation=0.3)
    return scale * x + p.take(n, deviation=0.2)


def layer_norm(p, x):
    return scale_and_shift(p, standardize(x, -1))


def attend(q, k, v, heads, mask=None):
    split = lambda x: x.reshape(*x.shape[:-1], heads, -1).swapaxes(-2, -3)
    q, k, v = split(q), split(k), split(v)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    out = jax.nn.softmax(scores, -1) @ v
    return out.swapaxes(-2, -3).reshape(*out.shape[:-3], out.shape[-2], -1)


def block(p, x, heads, hidden, causal=False):
    tokens, width = x.shape[-2:]
    q, k, v = jnp.split(dense(p, layer_norm(p, x), 3 * width), 3, -1)
    mask = np.tril(np.ones((tokens, tokens), bool)) if causal else None
    x = x + dense(p, attend(q, k, v, heads, mask), width)
    return x + dense(p, dense(p, layer_norm(p, x), hidden, gelu), width)


def flat(x):
    return x.reshape(x.shape[0], -1)


# ------------------------------------------------------------------ the networks, x has samples first
def layer_norm_mlp(p, x):
    h = layer_norm(p, dense(p, x, 8, jnp.tanh))
    return dense(p, standardize(dense(p, h, 7, gelu), -1), 4)


def batch_norm_mlp(p, x):
    h = dense(p, x, 7)
    h = jnp.tanh(scale_and_shift(p, standardize(h, 0)))
    h = dense(p, h, 6)
    return dense(p, jax.nn.softplus(scale_and_shift(p, standardize(h, 0))), 3)


def causal_transformer(p, x):
    h = p.take(7, 6)[x.astype(int)]
    h = h + p.take(5, 6)
    for _ in range(2):
        h = block(p, h, 2, 8, causal=True)
    return dense(p, flat(layer_norm(p, h)), 3)


def cross_attention(p, x):
    x = x.reshape(-1, 7, 6)
    memory, h = block(p, x[:, :4], 2, 8), x[:, 4:]
    k, v = jnp.split(dense(p, memory, 12), 2, -1)
    h = h + dense(p, attend(dense(p, layer_norm(p, h), 6), k, v, 2), 6)
    h = block(p, h, 3, 8, causal=True)
    return dense(p, flat(layer_norm(p, h)), 3)


def tiny_vit(p, x):
    x = x.reshape(-1, 2, 2, 4, 2, 4).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 4, 32)
    h = dense(p, x, 6)
    token = jnp.broadcast_to(p.take(6), (h.shape[0], 1, 6))
    h = jnp.concatenate([token, h], 1)
    h = h + p.take(5, 6)
    for _ in range(2):
        h = block(p, h, 2, 12)
    return dense(p, layer_norm(p, h[:, 0]), 3)


NETWORKS = {
    "layer_norm_mlp": (layer_norm_mlp, lambda rng: rng.normal(size=(10, 6)), 4),
    "batch_norm_mlp": (batch_norm_mlp, lambda rng: rng.normal(size=(12, 5)), 3),
    "causal_transformer": (causal_transformer, lambda rng: rng.integers(0, 7, (9, 5)).astype(float), 3),
    "cross_attention": (cross_attention, lambda rng: rng.normal(size=(8, 42)), 3),
    "tiny_vit": (tiny_vit, lambda rng: rng.normal(size=(6, 128)), 3),
}


def reference(network, inputs, classes, seed):
    rng = np.random.default_rng(seed)
    x = inputs(rng)
    reader = Reader(rng=rng)
    network(reader, x)
    theta = np.concatenate(reader.drawn)
    y = np.eye(classes)[rng.integers(0, classes, x.shape[0])]
    tangents = rng.normal(size=(theta.size, 3))

    outputs = lambda t: network(Reader(t), x)
    loss_of = lambda f: jnp.mean(jax.scipy.special.logsumexp(f, axis=1) - jnp.sum(f * y, axis=1))
    value = lambda t: loss_of(outputs(t))

    def hessian(v):
        return jax.jvp(jax.grad(value), (theta,), (v,))[1]

    def gauss_newton(v):
        f, tangent = jax.jvp(outputs, (theta,), (v,))
        pulled = jax.jvp(jax.grad(loss_of), (f,), (tangent,))[1]
        return jax.vjp(outputs, theta)[1](pulled)[0]

    columns = lambda product: np.stack([product(v) for v in tangents.T], 1)
    return dict(
        theta=theta, X=x, Y=y, V=tangents, out=outputs(theta), loss=np.reshape(value(theta), 1),
        grad=jax.grad(value)(theta), HV=columns(hessian), GV=columns(gauss_newton),
    )  # fmt: skip


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for seed, (name, parts) in enumerate(NETWORKS.items(), 201):
        path = os.path.join(sys.argv[1], f"{name}.npz")
        arrays = {k: np.asarray(a) for k, a in reference(*parts, seed).items()}
        np.savez(path, **arrays)
        print(f"{path}: {arrays['theta'].size} parameters, loss {arrays['loss'][0]:.6f}")


if __name__ == "__main__":
    main()
