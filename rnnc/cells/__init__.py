"""The standard library of cells, each written in the language as its paper writes it. One family a file."""

from rnnc.cells.affine import Affine
from rnnc.cells.bidirectional import Bidirectional
from rnnc.cells.conv import CausalConv1d
from rnnc.cells.convlstm import ConvLSTM
from rnnc.cells.coupled import CoupledLSTM
from rnnc.cells.dilated import DilatedRecurrent
from rnnc.cells.embedding import Embedding
from rnnc.cells.gru import GatedRecurrent, GatedRecurrentAfter
from rnnc.cells.indrnn import IndRNN
from rnnc.cells.layernorm import LayerNorm, LayerNormLSTM
from rnnc.cells.lstm import LSTM
from rnnc.cells.minimal import MinimalGatedUnit
from rnnc.cells.peephole import PeepholeLSTM
from rnnc.cells.projected import ProjectedLSTM
from rnnc.cells.recurrent import Recurrent

__all__ = [
    "LSTM",
    "Affine",
    "Bidirectional",
    "CausalConv1d",
    "ConvLSTM",
    "CoupledLSTM",
    "DilatedRecurrent",
    "Embedding",
    "GatedRecurrent",
    "GatedRecurrentAfter",
    "IndRNN",
    "LayerNorm",
    "LayerNormLSTM",
    "MinimalGatedUnit",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "Recurrent",
]
