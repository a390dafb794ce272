"""The zoo again, as plain NumPy loops in float64, one step a function, written from the papers' equations.

Each, under its cell's name, takes one step of the input ``x [B, …]``, the weights ``w`` and the states ``s``,
and gives what goes out and the next states. The cells that are linear in their state, and the late ones, are
in :mod:`tests.zoo_numpy_late`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace as Bag
from typing import Any

import numpy as np
from numpy import exp, tanh

Array = np.ndarray[Any, Any]

Step = Callable[[Array, Any, Any], tuple[Array, dict[str, Array]]]


def run(step: Step, x: Array, weights: Mapping[str, Array], states: Mapping[str, Array]) -> Array:
    """What a step gives over a sequence ``x [T, B, …]``, from ``states [B, …]``."""
    w = {k: a.astype(float) if a.dtype.kind == "f" else a for k, a in weights.items()}
    s = {k: a.astype(float) if a.dtype.kind == "f" else a for k, a in states.items()}
    ys = []
    for now in x.astype(float):
        y, following = step(now, Bag(**w), Bag(**s))
        assert following.keys() == s.keys()
        ys.append(y)
        s = following
    return np.stack(ys)


def f32(number):
    """A number as models hold it."""
    return float(np.float32(number))


def σ(x):
    return 1 / (1 + exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softplus(x):
    return np.log1p(exp(x))


def one(h, **others):
    """A state that is also what goes out."""
    return h, {"h": h, **others}


def affine(x, h, w, gate):
    """W x + U h⁻ + b of one gate."""
    return x @ getattr(w, f"W{gate}") + h @ getattr(w, f"U{gate}") + getattr(w, f"b{gate}")


# -- antisymmetric, bistable, additive ---------------------------------------------------------------------


def antisymmetric(U):
    return U - U.T - f32(0.01) * np.eye(len(U))


def AntisymmetricRNN(x, w, s):
    return one(s.h + f32(0.1) * tanh(x @ w.W + s.h @ antisymmetric(w.U) + w.b))


def GatedAntisymmetricRNN(x, w, s):
    Ah = s.h @ antisymmetric(w.U)
    return one(s.h + f32(0.1) * σ(x @ w.Wz + Ah + w.bz) * tanh(x @ w.Wh + Ah + w.bh))


def ATR(x, w, s):
    p, q = x @ w.W, s.h @ w.U
    return one(σ(p + q) * p + σ(p - q) * s.h)


def BR(x, w, s):
    a, c = 1 + tanh(x @ w.Wa + w.ua * s.h), σ(x @ w.Wc + w.uc * s.h)
    return one(c * s.h + (1 - c) * tanh(x @ w.W + a * s.h))


def NBR(x, w, s):
    a, c = 1 + tanh(x @ w.Wa + s.h @ w.Ua), σ(x @ w.Wc + s.h @ w.Uc)
    return one(c * s.h + (1 - c) * tanh(x @ w.W + a * s.h))


def CFN(x, w, s):
    return one(σ(affine(x, s.h, w, "θ")) * tanh(s.h) + σ(affine(x, s.h, w, "η")) * tanh(x @ w.W))


# -- oscillators, fast cells --------------------------------------------------------------------------------


def coRNN(x, w, s):
    z = s.z + f32(0.1) * (tanh(x @ w.W + s.h @ w.U + s.z @ w.V + w.b) - s.h - s.z)
    return one(s.h + f32(0.1) * z, z=z)


def UnICORNN(x, w, s):
    z = s.z - f32(0.1) * σ(w.c) * (tanh(w.u * s.h + x @ w.W + w.b) + s.h)
    return one(s.h + f32(0.1) * σ(w.c) * z, z=z)


def LEM(x, w, s):
    d1, d2 = σ(affine(x, s.h, w, 1)), σ(affine(x, s.h, w, 2))
    z = (1 - d1) * s.z + d1 * tanh(affine(x, s.h, w, "z"))
    return one((1 - d2) * s.h + d2 * tanh(x @ w.Wh + z @ w.Vh + w.bh), z=z)


def FastRNN(x, w, s):
    return one(σ(w.α) * tanh(x @ w.W + s.h @ w.U + w.b) + σ(w.β) * s.h)


def FastGRNN(x, w, s):
    a = x @ w.W + s.h @ w.U
    z, g = σ(a + w.bz), tanh(a + w.bh)
    return one((σ(w.ζ) * (1 - z) + σ(w.ν)) * g + z * s.h)


def IndRNN(x, w, s):
    y = relu(x @ w.W + w.u * s.y + w.b)
    return y, {"y": y}


# -- one state, gated ---------------------------------------------------------------------------------------


def IntersectionRNN(x, w, s):
    gy, gh = σ(affine(x, s.h, w, "gy")), σ(affine(x, s.h, w, "gh"))
    y = gy * x + (1 - gy) * relu(affine(x, s.h, w, "yi"))
    return y, {"h": gh * s.h + (1 - gh) * tanh(affine(x, s.h, w, "hi"))}


def UGRNN(x, w, s):
    g = σ(affine(x, s.h, w, "g"))
    return one(g * s.h + (1 - g) * tanh(affine(x, s.h, w, "c")))


def JANET(x, w, s):
    a = affine(x, s.h, w, "f")
    return one(σ(a) * s.h + (1 - σ(a - 1)) * tanh(affine(x, s.h, w, "c")))


def LiGRU(x, w, s):
    z = σ(affine(x, s.h, w, "z"))
    return one(z * s.h + (1 - z) * relu(affine(x, s.h, w, "h")))


def LightRU(x, w, s):
    f = σ(affine(x, s.h, w, "f"))
    return one((1 - f) * s.h + f * tanh(x @ w.Wh))


def MinimalGatedUnit(x, w, s):
    f = σ(x @ w.Wxf + s.y @ w.Wyf + w.bf)
    y = (1 - f) * s.y + f * tanh(x @ w.Wxn + (f * s.y) @ w.Wyn + w.bn)
    return y, {"y": y}


def MinimalRNN(x, w, s):
    z = tanh(x @ w.W + w.bz)
    u = σ(s.h @ w.U + z @ w.V + w.bu)
    return one(u * s.h + (1 - u) * z)


def MiRU1(x, w, s):
    r = σ(affine(x, s.h, w, "r"))
    return one(s.h / 2 + tanh(affine(x, r * s.h, w, "h")) / 2)


def MiRU2(x, w, s):
    return one(s.h / 2 + tanh(x @ w.W + s.h / 2 @ w.U + w.b) / 2)


def SGRN(x, w, s):
    f = σ(x @ w.W + w.b + s.h @ w.U)
    return one(tanh((1 - f) * (x @ w.W + w.b) + f * s.h))


def STAR(x, w, s):
    k = σ(affine(x, s.h, w, "k"))
    return one(tanh((1 - k) * s.h + k * tanh(x @ w.Wz + w.bz)))


def MUT1(x, w, s):
    z, r = σ(x @ w.Wz + w.bz), σ(affine(x, s.h, w, "r"))
    return one(z * tanh((r * s.h) @ w.Uh + tanh(x @ w.Wh) + w.bh) + (1 - z) * s.h)


def MUT2(x, w, s):
    z, r = σ(affine(x, s.h, w, "z")), σ(affine(x, s.h, w, "r"))
    return one(z * tanh(affine(x, r * s.h, w, "h")) + (1 - z) * s.h)


def MUT3(x, w, s):
    z, r = σ(affine(x, tanh(s.h), w, "z")), σ(affine(x, s.h, w, "r"))
    return one(z * tanh(affine(x, r * s.h, w, "h")) + (1 - z) * s.h)


# -- two states ---------------------------------------------------------------------------------------------


def NAS(x, w, s):
    leaves = np.split(x @ w.W + s.h @ w.U + w.b, 8, axis=1)
    kinds: list[Any] = [σ, relu, σ, relu, tanh, σ, tanh, σ]
    a = [f(leaf) for f, leaf in zip(kinds, leaves, strict=True)]
    c = tanh(tanh(a[0] * a[1]) + s.c) * tanh(a[2] + a[3])
    return one(tanh(c * tanh(tanh(a[4] * a[5]) + σ(a[6] + a[7]))), c=c)


def OriginalLSTM(x, w, s):
    c = s.c + σ(affine(x, s.h, w, "i")) * tanh(affine(x, s.h, w, "z"))
    return one(σ(affine(x, s.h, w, "o")) * tanh(c), c=c)


def PeepholeLSTM(x, w, s):
    i = σ(x @ w.Wxi + s.y @ w.Wyi + w.pi * s.state + w.bi)
    f = σ(x @ w.Wxf + s.y @ w.Wyf + w.pf * s.state + w.bf)
    c = f * s.state + i * tanh(x @ w.Wxc + s.y @ w.Wyc + w.bc)
    y = σ(x @ w.Wxo + s.y @ w.Wyo + w.po * c + w.bo) * tanh(c)
    return y, {"y": y, "state": c}


def MultiplicativeLSTM(x, w, s):
    m = (x @ w.Wm) * (s.h @ w.Um)
    c = σ(affine(x, m, w, "f")) * s.c + σ(affine(x, m, w, "i")) * tanh(affine(x, m, w, "z"))
    return one(σ(affine(x, m, w, "o")) * tanh(c), c=c)


def MCLSTM(x, w, s):
    c = σ(affine(x, s.v, w, "f")) * s.c + σ(affine(x, s.v, w, "i")) * tanh(affine(x, s.v, w, "n"))
    return σ(affine(x, s.v, w, "o")) * tanh(c), {"v": σ(affine(x, s.v, w, "m")) * tanh(c), "c": c}


def WMCLSTM(x, w, s):
    i = σ(affine(x, s.h, w, "i") + tanh(s.c @ w.Vi))
    f = σ(affine(x, s.h, w, "f") + tanh(s.c @ w.Vf))
    c = f * s.c + i * tanh(affine(x, s.h, w, "z"))
    return one(σ(affine(x, s.h, w, "o") + tanh(c @ w.Vo)) * tanh(c), c=c)


def RAN(x, w, s):
    c = σ(affine(x, s.h, w, "i")) * (x @ w.Wc) + σ(affine(x, s.h, w, "f")) * s.c
    return one(tanh(c), c=c)


def RHN(x, w, s):
    h = s.h
    for at in ("", "second.", "third."):
        U, b, Ut, bt = (getattr(w, at + name) for name in ("U", "b", "Ut", "bt"))
        first = (x @ w.W, x @ w.Wt) if not at else (0, 0)
        h = (tanh(first[0] + h @ U + b) - h) * σ(first[1] + h @ Ut + bt) + h
    return one(h)


def SCRN(x, w, s):
    c = f32(0.05) * (x @ w.B) + f32(0.95) * s.s
    h = σ(x @ w.A + s.h @ w.R + c @ w.P)
    return tanh(h @ w.U + c @ w.V), {"s": c, "h": h}
