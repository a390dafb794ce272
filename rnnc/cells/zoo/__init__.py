"""The zoo: cells to judge a compiler by, each as its paper writes it, with biases where the paper has them.

A paper's W x is x W here, x being a row. ``h⁻`` is ``h[-1]``, ``σ`` the logistic function. Cells of the
standard library that belong here are its own.
"""

from rnnc.cells.dilated import DilatedRecurrent
from rnnc.cells.indrnn import IndRNN
from rnnc.cells.minimal import MinimalGatedUnit
from rnnc.cells.peephole import PeepholeLSTM
from rnnc.cells.zoo.additive import ATR, RAN
from rnnc.cells.zoo.antisymmetric import AntisymmetricRNN, GatedAntisymmetricRNN
from rnnc.cells.zoo.bistable import BR, NBR
from rnnc.cells.zoo.capacity import UGRNN, IntersectionRNN
from rnnc.cells.zoo.clockwork import ClockworkRNN
from rnnc.cells.zoo.context import SCRN
from rnnc.cells.zoo.evolved import MUT1, MUT2, MUT3, NAS
from rnnc.cells.zoo.fast import FastGRNN, FastRNN
from rnnc.cells.zoo.gated import CFN, SGRN, STAR
from rnnc.cells.zoo.highway import RHN
from rnnc.cells.zoo.light import LightRU, LiGRU
from rnnc.cells.zoo.liquid import LTC, CfC
from rnnc.cells.zoo.lstms import JANET, MCLSTM, WMCLSTM, MultiplicativeLSTM, OriginalLSTM
from rnnc.cells.zoo.memory import GatedDeltaNet, LinearAttention
from rnnc.cells.zoo.minimal import MinimalRNN, MiRU1, MiRU2
from rnnc.cells.zoo.oscillators import LEM, UnICORNN, coRNN
from rnnc.cells.zoo.parallel import QRNN, SRU, minGRU, minLSTM
from rnnc.cells.zoo.reservoir import EchoState
from rnnc.cells.zoo.statespace import RGLRU, DiagonalSSM
from rnnc.cells.zoo.typed import TGRU, TLSTM, TRNN
from rnnc.cells.zoo.xlstm import mLSTM, sLSTM
from rnnc.frontend.layers import Layer
from rnnc.frontend.nets import Net

#: Every cell of the zoo, in its order.
CELLS = (
    AntisymmetricRNN, GatedAntisymmetricRNN, ATR, BR, NBR, CFN, coRNN, FastRNN, FastGRNN, IndRNN,
    IntersectionRNN, JANET, LEM, LiGRU, LightRU, MCLSTM, MinimalGatedUnit, MinimalRNN, MiRU1, MiRU2,
    MultiplicativeLSTM, MUT1, MUT2, MUT3, NAS, OriginalLSTM, PeepholeLSTM, RAN, RHN, SCRN, SGRN, STAR,
    TRNN, TGRU, TLSTM, UGRNN, UnICORNN, WMCLSTM,
    minGRU, minLSTM, SRU, QRNN, DiagonalSSM, RGLRU, LinearAttention, GatedDeltaNet, CfC, LTC, sLSTM, mLSTM,
    EchoState, ClockworkRNN, DilatedRecurrent,
)


def sized(cell: Net, inputs: int, units: int) -> Layer:
    """A layer of ``cell`` with ``inputs`` features in and every other dimension ``units``.

    A cell that is as wide as its input has ``units`` in too: see :func:`width`.
    """
    layer: Layer = cell(**{name: inputs if name == "in" else units for name in cell.dims})
    return layer


def width(cell: Net, inputs: int, units: int) -> int:
    """How many features the input of ``sized(cell, inputs, units)`` has."""
    return inputs if "in" in cell.dims else units


__all__ = [
    "ATR",
    "BR",
    "CELLS",
    "CFN",
    "JANET",
    "LEM",
    "LTC",
    "MCLSTM",
    "MUT1",
    "MUT2",
    "MUT3",
    "NAS",
    "NBR",
    "QRNN",
    "RAN",
    "RGLRU",
    "RHN",
    "SCRN",
    "SGRN",
    "SRU",
    "STAR",
    "TGRU",
    "TLSTM",
    "TRNN",
    "UGRNN",
    "WMCLSTM",
    "AntisymmetricRNN",
    "CfC",
    "ClockworkRNN",
    "DiagonalSSM",
    "DilatedRecurrent",
    "EchoState",
    "FastGRNN",
    "FastRNN",
    "GatedAntisymmetricRNN",
    "GatedDeltaNet",
    "IndRNN",
    "IntersectionRNN",
    "LiGRU",
    "LightRU",
    "LinearAttention",
    "MiRU1",
    "MiRU2",
    "MinimalGatedUnit",
    "MinimalRNN",
    "MultiplicativeLSTM",
    "OriginalLSTM",
    "PeepholeLSTM",
    "UnICORNN",
    "coRNN",
    "mLSTM",
    "minGRU",
    "minLSTM",
    "sLSTM",
    "sized",
    "width",
]
