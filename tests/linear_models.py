"""Cells whose state is linear in itself, and cells that nearly are: the line that decides it says so.

``MODELS`` are layers, and ``REFUSED`` nets, with one step of 3 features as input.
"""

from __future__ import annotations

from typing import Any

from rnnc import concat, exp, glorot, net, ones, relu, sigmoid, softplus, sqrt, tanh, zeros


@net
def min_gru(x, *, W=glorot(3, "n"), V=glorot(3, "n"), h=zeros("n")):
    z = sigmoid(x @ W)
    h = (1 - z) * h[-1] + z * (x @ V)
    return h


@net
def min_lstm(x, *, W=glorot(3, "n"), U=glorot(3, "n"), V=glorot(3, "n"), h=zeros("n")):
    f, i = sigmoid(x @ W), sigmoid(x @ U)
    h = f / (f + i) * h[-1] + i / (f + i) * (x @ V)
    return h


@net
def qrnn(x, *, W=glorot(6, "n"), U=glorot(6, "n"), V=glorot(6, "n"), c=zeros("n")):
    both = concat(x, x[-1])
    z, f, o = tanh(both @ W), sigmoid(both @ U), sigmoid(both @ V)
    c = f * c[-1] + (1 - f) * z
    return o * c


@net
def sru(x, *, W=glorot(3, 3), U=glorot(3, 3), V=glorot(3, 3), c=zeros(3)):
    f, r = sigmoid(x @ W), sigmoid(x @ U)
    c = f * c[-1] + (1 - f) * (x @ V)
    h = r * c + (1 - r) * x
    return h


@net
def rg_lru(x, *, A=glorot(3, 3), G=glorot(3, 3), L=ones(3), h=zeros(3)):
    a = exp(-8 * softplus(L) * sigmoid(x @ A))
    h = a * h[-1] + sqrt(1 - a * a) * (sigmoid(x @ G) * x)
    return h


@net
def diagonal(
    x,
    *,
    B=glorot(3, "n"),
    C=glorot(3, "n"),
    r=ones("n"),
    i=ones("n"),
    D=glorot("n", 2),
    re=zeros("n"),
    im=zeros("n"),
):
    size, turn = sigmoid(r), 0.5 * i
    p, q = size * (1 - turn * turn), size * turn
    before = re[-1]
    re = p * before - q * im[-1] + x @ B
    im = q * before + p * im[-1] + x @ C
    return re @ D


@net
def leaky(x, *, W=glorot(3, "n"), a=ones("n"), h=zeros("n")):
    h = h[-1] + sigmoid(a) * (relu(x @ W) - h[-1])
    return h


@net
def independent(x, *, W=glorot(3, "n"), u=glorot("n"), b=zeros("n"), h=zeros("n")):
    h = x @ W + u * h[-1] + b
    return h


MODELS: dict[str, Any] = {
    "minGRU": min_gru(4),
    "minLSTM": min_lstm(4),
    "QRNN": qrnn(4),
    "SRU": sru(),
    "RG-LRU": rg_lru(),
    "a diagonal state space": diagonal(4),
    "a leaky integrator": leaky(4),
    "IndRNN without activation": independent(4),
}


# -- not linear ---------------------------------------------------------------------------------------------


@net
def curved(x, *, W=glorot(3, 3), u=glorot(3), h=zeros(3)):
    h = tanh(x @ W + u * h[-1])  # the state goes through tanh
    return h


@net
def mixed(x, *, U=glorot(3, 3), h=zeros(3)):
    h = x + h[-1] @ U  # the state goes through matmul, which mixes elements
    return h


@net
def gated(x, *, v=glorot(3), h=zeros(3)):
    f = sigmoid(x + v * h[-1])  # the state goes through sigmoid
    h = f * h[-1] + (1 - f) * x
    return h


@net
def squared(x, *, v=glorot(3), h=zeros(3)):
    h = x - h[-1] * v * h[-1]  # two values that depend on the state are multiplied
    return h


@net
def divided(x, *, h=zeros(3)):
    h = x / h[-1]  # the state goes through div
    return h


@net
def many(x, *, h=zeros(3)):
    h = x + h[-5]  # the loop remembers 5 values, more than 4
    return h


REFUSED = {"curved": curved, "mixed": mixed, "gated": gated, "squared": squared, "divided": divided}
