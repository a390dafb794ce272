"""The extended LSTM: exponential gates, a normaliser n of what they have weighed, and a stabiliser m.

Gates i = exp(ĩ) and f = exp(f̃) grow without bound; c and n are therefore kept divided by exp(m), m being the
largest exponent so far, which cancels in the output.

Shapes: ``x [B, in]`` → ``h [B, out]``. ``sLSTM(30, 15)``: states ``h``, ``c``, ``n`` and ``m [B, out]``.
``mLSTM(30, 8, 15)``: in, key, out; states ``C [B, out, key]``, ``n [B, key]`` and ``m [B, 1]``.
Source: M. Beck et al., "xLSTM: extended long short-term memory" (2024), one head.
"""

from rnnc import abs, einsum, exp, glorot, maximum, net, sqrt, tanh, unsqueeze, zeros
from rnnc import sigmoid as σ


@net
def sLSTM(x, *,
          Wz=glorot("in", "out"), Rz=glorot("out", "out"), bz=zeros("out"),
          Wi=glorot("in", "out"), Ri=glorot("out", "out"), bi=zeros("out"),
          Wf=glorot("in", "out"), Rf=glorot("out", "out"), bf=zeros("out"),
          Wo=glorot("in", "out"), Ro=glorot("out", "out"), bo=zeros("out"),
          h=zeros("out"), c=zeros("out"), n=zeros("out"), m=zeros("out")):
    """c = f∘c⁻ + i∘z,  n = f∘n⁻ + i,  h = o∘c/n,  i, f = exp(·),  z = tanh(·),  o = σ(·)

    Each of x W + h⁻ R + b; stabilised, i = exp(ĩ − m) and f = exp(f̃ + m⁻ − m) with m = max(f̃ + m⁻, ĩ).
    """
    z  = tanh(x @ Wz + h[-1] @ Rz + bz)
    ix = x @ Wi + h[-1] @ Ri + bi
    fx = x @ Wf + h[-1] @ Rf + bf
    o  = σ(x @ Wo + h[-1] @ Ro + bo)
    m  = maximum(fx + m[-1], ix)
    i  = exp(ix - m)
    f  = exp(fx + m[-1] - m)
    c  = f * c[-1] + i * z
    n  = f * n[-1] + i
    h  = o * (c / n)
    return h


@net
def mLSTM(x, *,
          Wq=glorot("in", "key"), bq=zeros("key"),
          Wk=glorot("in", "key"), bk=zeros("key"),
          Wv=glorot("in", "out"), bv=zeros("out"),
          wi=glorot("in", 1), bi=zeros(1),
          wf=glorot("in", 1), bf=zeros(1),
          Wo=glorot("in", "out"), bo=zeros("out"),
          C=zeros("out", "key"), n=zeros("key"), m=zeros(1)):
    """C = f C⁻ + i v kᵀ,  n = f n⁻ + i k,  h = o∘(C q / max(|nᵀ q|, 1)),  i, f = exp(x w + b)

    q, v = x W + b, k = x Wk/√d + bk, o = σ(x Wo + bo); stabilised as in sLSTM, so that 1 becomes exp(−m).
    """
    q  = x @ Wq + bq
    k  = x @ Wk / sqrt(Wk.shape[1]) + bk
    v  = x @ Wv + bv
    ix = x @ wi + bi
    fx = x @ wf + bf
    o  = σ(x @ Wo + bo)
    m  = maximum(fx + m[-1], ix)
    i  = exp(ix - m)
    f  = exp(fx + m[-1] - m)
    C  = unsqueeze(f) * C[-1] + einsum("v,k->vk", i * v, k)
    n  = f * n[-1] + i * k
    nq = einsum("k,k->", n, q)
    h  = o * (einsum("vk,k->v", C, q) / maximum(abs(unsqueeze(nq)), exp(-m)))
    return h
