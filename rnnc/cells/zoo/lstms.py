"""Relatives of the LSTM: with a gate less, or with other things that the gates see.

Shapes: ``x [B, in]`` → ``h [B, out]``; states ``h`` and ``c``, in ``MCLSTM`` ``v`` and ``c``, in ``JANET``
only ``h``. ``JANET(30, 15)``.
Sources: S. Hochreiter and J. Schmidhuber, "Long short-term memory" (1997), with tanh for its scaled logistic
functions; J. van der Westhuizen and J. Lasenby, "The unreasonable effectiveness of the forget gate" (2018);
B. Krause et al., "Multiplicative LSTM for sequence modelling" (2016); I. Ben-Ari and R. Shwartz-Ziv,
"Sequence modeling using a memory controller extension for LSTM" (2017); F. Landi et al., "Working memory
connections for LSTM" (2021). The peephole LSTM is in :mod:`rnnc.cells.peephole`.
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def OriginalLSTM(x, *,
                 Wi=glorot("in", "out"), Ui=glorot("out", "out"), bi=zeros("out"),
                 Wz=glorot("in", "out"), Uz=glorot("out", "out"), bz=zeros("out"),
                 Wo=glorot("in", "out"), Uo=glorot("out", "out"), bo=zeros("out"),
                 h=zeros("out"), c=zeros("out")):
    """c = c⁻ + i∘tanh(z),  h = o∘tanh(c),  i, o = σ(·),  each of x W + h⁻ U + b; nothing is forgotten"""
    i = σ(x @ Wi + h[-1] @ Ui + bi)
    z = tanh(x @ Wz + h[-1] @ Uz + bz)
    o = σ(x @ Wo + h[-1] @ Uo + bo)
    c = c[-1] + i * z
    h = o * tanh(c)
    return h


@net
def JANET(x, *,
          Wf=glorot("in", "out"), Uf=glorot("out", "out"), bf=zeros("out"),
          Wc=glorot("in", "out"), Uc=glorot("out", "out"), bc=zeros("out"),
          h=zeros("out"),
          β=1.0):
    """h = σ(s)∘h⁻ + (1 − σ(s−β))∘tanh(x Wc + h⁻ Uc + bc),  s = x Wf + h⁻ Uf + bf"""
    s = x @ Wf + h[-1] @ Uf + bf
    c = tanh(x @ Wc + h[-1] @ Uc + bc)
    h = σ(s) * h[-1] + (1 - σ(s - β)) * c
    return h


@net
def MultiplicativeLSTM(x, *,
                       Wm=glorot("in", "out"), Um=glorot("out", "out"),
                       Wi=glorot("in", "out"), Ui=glorot("out", "out"), bi=zeros("out"),
                       Wf=glorot("in", "out"), Uf=glorot("out", "out"), bf=zeros("out"),
                       Wz=glorot("in", "out"), Uz=glorot("out", "out"), bz=zeros("out"),
                       Wo=glorot("in", "out"), Uo=glorot("out", "out"), bo=zeros("out"),
                       h=zeros("out"), c=zeros("out")):
    """As LSTM, whose gates see m = (x Wm)∘(h⁻ Um) in the place of h⁻"""
    m = (x @ Wm) * (h[-1] @ Um)
    i = σ(x @ Wi + m @ Ui + bi)
    f = σ(x @ Wf + m @ Uf + bf)
    z = tanh(x @ Wz + m @ Uz + bz)
    o = σ(x @ Wo + m @ Uo + bo)
    c = f * c[-1] + i * z
    h = o * tanh(c)
    return h


@net
def MCLSTM(x, *,
           Wi=glorot("in", "out"), Ui=glorot("out", "out"), bi=zeros("out"),
           Wf=glorot("in", "out"), Uf=glorot("out", "out"), bf=zeros("out"),
           Wo=glorot("in", "out"), Uo=glorot("out", "out"), bo=zeros("out"),
           Wm=glorot("in", "out"), Um=glorot("out", "out"), bm=zeros("out"),
           Wn=glorot("in", "out"), Un=glorot("out", "out"), bn=zeros("out"),
           v=zeros("out"), c=zeros("out")):
    """c = f∘c⁻ + i∘n,  h = o∘tanh(c),  v = m∘tanh(c): what the gates see is not what goes out

    i, f, o, m = σ(·) and n = tanh(·), each of x W + v⁻ U + b.
    """
    i = σ(x @ Wi + v[-1] @ Ui + bi)
    f = σ(x @ Wf + v[-1] @ Uf + bf)
    o = σ(x @ Wo + v[-1] @ Uo + bo)
    m = σ(x @ Wm + v[-1] @ Um + bm)
    n = tanh(x @ Wn + v[-1] @ Un + bn)
    c = f * c[-1] + i * n
    h = o * tanh(c)
    v = m * tanh(c)
    return h


@net
def WMCLSTM(x, *,
            Wi=glorot("in", "out"), Ui=glorot("out", "out"), Vi=glorot("out", "out"), bi=zeros("out"),
            Wf=glorot("in", "out"), Uf=glorot("out", "out"), Vf=glorot("out", "out"), bf=zeros("out"),
            Wo=glorot("in", "out"), Uo=glorot("out", "out"), Vo=glorot("out", "out"), bo=zeros("out"),
            Wz=glorot("in", "out"), Uz=glorot("out", "out"), bz=zeros("out"),
            h=zeros("out"), c=zeros("out")):
    """As LSTM, with tanh(c⁻ V) added inside i and f, and tanh(c V) inside o"""
    i = σ(x @ Wi + h[-1] @ Ui + tanh(c[-1] @ Vi) + bi)
    f = σ(x @ Wf + h[-1] @ Uf + tanh(c[-1] @ Vf) + bf)
    z = tanh(x @ Wz + h[-1] @ Uz + bz)
    c = f * c[-1] + i * z
    o = σ(x @ Wo + h[-1] @ Uo + tanh(c @ Vo) + bo)
    h = o * tanh(c)
    return h
