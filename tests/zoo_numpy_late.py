"""The rest of the zoo as plain NumPy: what is linear in its state, matrix memories, and the late ones.

Nothing is stabilised: ``sLSTM`` and ``mLSTM`` are computed with their bare exponentials, so that what our
cells keep divided by exp(m) must cancel. Complex numbers are complex.
"""

from __future__ import annotations

import numpy as np
from numpy import exp, sqrt, tanh

from tests.zoo_numpy import affine, f32, one, softplus, σ

# -- linear in the state ------------------------------------------------------------------------------------


def TRNN(x, w, s):
    f = σ(x @ w.Wf + w.bf)
    return one(f * s.h + (1 - f) * (x @ w.W))


def TGRU(x, w, s):
    f, o = σ(affine(x, s.x, w, "f")), tanh(affine(x, s.x, w, "o"))
    return one(f * s.h + affine(x, s.x, w, "z") * o, x=x)


def TLSTM(x, w, s):
    f, o = σ(affine(x, s.x, w, "f")), tanh(affine(x, s.x, w, "o"))
    c = f * s.c + (1 - f) * affine(x, s.x, w, "z")
    return c * o, {"c": c, "x": x}


def minGRU(x, w, s):
    z = σ(x @ w.Wz + w.bz)
    return one((1 - z) * s.h + z * (x @ w.Wh + w.bh))


def minLSTM(x, w, s):
    f, i = σ(x @ w.Wf + w.bf), σ(x @ w.Wi + w.bi)
    return one((f * s.h + i * (x @ w.Wh + w.bh)) / (f + i))


def SRU(x, w, s):
    f, r = σ(x @ w.Wf + w.vf * s.c + w.bf), σ(x @ w.Wr + w.vr * s.c + w.br)
    c = f * s.c + (1 - f) * (x @ w.W)
    return r * c + (1 - r) * x, {"c": c}


def QRNN(x, w, s):
    past = vars(s)
    z, f, o = (
        np.concatenate([x, past[f"{g}.x"]], axis=1) @ getattr(w, f"{g}.W") + getattr(w, f"{g}.b")
        for g in "ZFO"
    )
    c = σ(f) * s.c + (1 - σ(f)) * tanh(z)
    return σ(o) * c, {"c": c, **{f"{g}.x": x for g in "ZFO"}}


def DiagonalSSM(x, w, s):
    λ = exp(-exp(w.ν) + 1j * w.θ)
    state = λ * (s.sr + 1j * s.si) + x @ (w.Br + 1j * w.Bi)
    return (state @ (w.Cr + 1j * w.Ci)).real + x @ w.D, {"sr": state.real, "si": state.imag}


def RGLRU(x, w, s):
    a = exp(-8 * softplus(w.Λ) * σ(x @ w.Wa + w.ba))
    return one(a * s.h + sqrt(1 - a**2) * (σ(x @ w.Wx + w.bx) * x))


def LinearAttention(x, w, s):
    S = s.S + (x @ w.Wk)[:, :, None] * (x @ w.Wv)[:, None, :]
    return np.stack([S1.T @ q for S1, q in zip(S, x @ w.Wq, strict=True)]), {"S": S}


def GatedDeltaNet(x, w, s):
    q, k, v = (a * σ(a) for a in (x @ w.Wq, x @ w.Wk, x @ w.Wv))
    q, k = (a / sqrt((a**2).sum(axis=1, keepdims=True) + f32(1e-6)) for a in (q, k))
    α = exp(-exp(w.A) * softplus(x @ w.Wα + w.bα))
    β = σ(x @ w.Wβ)
    S = np.stack(
        [
            α1 * (np.eye(len(k1)) - β1 * np.outer(k1, k1)) @ S1 + β1 * np.outer(k1, v1)
            for S1, k1, v1, α1, β1 in zip(s.S, k, v, α, β, strict=True)
        ]
    )
    return np.stack([S1.T @ q1 for S1, q1 in zip(S, q, strict=True)]), {"S": S}


# -- liquid, exponential, reservoir, clocks -----------------------------------------------------------------


def CfC(x, w, s):
    def small(net):
        W, U, b, V, c = (getattr(w, f"{net}.{name}") for name in "WUbVc")
        return tanh(x @ W + s.y @ U + b) @ V + c

    y = σ(-small("f")) * tanh(small("g")) + (1 - σ(-small("f"))) * tanh(small("h"))
    return y, {"y": y}


def LTC(x, w, s):
    f = σ(x @ w.W + s.y @ w.U + w.b)
    y = (s.y + f * w.A) / (1 + 1 / w.τ + f)
    return y, {"y": y}


def gate(x, h, w, name):
    return x @ getattr(w, f"W{name}") + h @ getattr(w, f"R{name}") + getattr(w, f"b{name}")


def sLSTM(x, w, s):
    i, f = exp(gate(x, s.h, w, "i")), exp(gate(x, s.h, w, "f"))
    c, n = f * s.c * exp(s.m) + i * tanh(gate(x, s.h, w, "z")), f * s.n * exp(s.m) + i
    return one(σ(gate(x, s.h, w, "o")) * c / n, c=c, n=n, m=0 * c)


def mLSTM(x, w, s):
    q, k, v = x @ w.Wq + w.bq, x @ w.Wk / f32(sqrt(w.Wk.shape[1])) + w.bk, x @ w.Wv + w.bv
    i, f = exp(x @ w.wi + w.bi), exp(x @ w.wf + w.bf)
    C = f[:, :, None] * s.C * exp(s.m)[:, :, None] + i[:, :, None] * v[:, :, None] * k[:, None, :]
    n = f * s.n * exp(s.m) + i * k
    read = np.stack([C1 @ q1 / max(abs(n1 @ q1), 1) for C1, n1, q1 in zip(C, n, q, strict=True)])
    return σ(x @ w.Wo + w.bo) * read, {"C": C, "n": n, "m": 0 * s.m}


def EchoState(x, w, s):
    return one(0.5 * s.h + 0.5 * tanh(x @ w.W + s.h @ w.U))


def ClockworkRNN(x, w, s):
    t, h = s.t + 1, s.h.copy()
    for unit, period in enumerate(w.T):
        slower = period <= w.T
        moved = tanh(x @ w.W[:, unit] + s.h[:, slower] @ w.U[slower, unit] + w.b[unit])
        h[:, unit] = np.where(t[:, 0] % period == 0, moved, s.h[:, unit])
    return one(h, t=t)


def DilatedRecurrent(x, w, s):
    y = tanh(x @ w.Wxy + s.y[1] @ w.Wyy + w.by)
    return y, {"y": np.stack([y, s.y[0]])}
