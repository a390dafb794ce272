"""Uses of every op on small seeded arrays: what all tests of ops run over."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnnc.ops import OPS
from rnnc.ops.declare import Op
from rnnc.types import TensorType, TupleType, Type, type_of

Array = np.ndarray[Any, Any]
Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """One use of an op.

    ``reference``: whether onnx.reference has it, which lacks lengths, ``input_forget`` and most activations.
    """

    op: Op
    arrays: tuple[Array, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    reference: bool = True
    label: str = ""

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, a.shape)) or "scalar" for a in self.arrays)
        return f"{self.op.name}-{shapes}{self.label}"

    def run(self, *arrays: Any, **attrs: Any) -> tuple[Any, ...]:
        """All results on other arrays, or on its own."""
        found = self.op(*(arrays or self.arrays), **{**self.attrs, **attrs})
        return found if isinstance(found, tuple) else (found,)

    def in_floats(self, dtype: str) -> Case:
        """The same with floating-point numbers in another type."""
        arrays = (a.astype(dtype) if a.dtype.kind == "f" else a for a in self.arrays)
        return replace(self, arrays=tuple(arrays))

    def types(self) -> tuple[TensorType, ...]:
        """The types that the type rule gives the results."""
        return flat(self.op.infer(*map(type_of, self.arrays), **self.attrs))


def flat(t: Type) -> tuple[TensorType, ...]:
    """The tensors of a type."""
    return t.items if isinstance(t, TupleType) else (t,)


CASES: list[Case] = []


def case(name: str, *operands: Any, reference: bool = True, label: str = "", **attrs: Any) -> None:
    """Add a case.

    A tuple among the operands is the shape of normally distributed numbers; a function makes an array with a
    generator.
    """
    rng = np.random.default_rng(zlib.crc32(f"{name} {len(CASES)}".encode()))
    arrays = []
    for o in operands:
        made = o(rng) if callable(o) else rng.normal(size=o) if isinstance(o, tuple) else np.asarray(o)
        arrays.append(np.asarray(made))
    CASES.append(Case(OPS[name], tuple(arrays), attrs, reference, label))


def positive(*shape: int) -> Callable[[Rng], Array]:
    return lambda rng: rng.uniform(0.3, 2.0, size=shape)


def integers(low: int, high: int, *shape: int) -> Callable[[Rng], Array]:
    return lambda rng: rng.integers(low, high, size=shape)


def truths(*shape: int) -> Callable[[Rng], Array]:
    return lambda rng: rng.integers(0, 2, size=shape).astype(bool)


PAIRS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (2, 3)),
    ((4, 2, 3), (3,)),
    ((2, 1), (4, 1, 3)),
    ((2, 3), ()),
]

for _name in ("add", "sub", "mul", "div", "minimum", "maximum"):
    for _x, _y in PAIRS:
        case(_name, _x, _y)
for _name in ("neg", "abs", "sign", "exp", "floor", "ceil", "round", "sin", "cos", "erf"):
    case(_name, (2, 3))
for _name in ("reciprocal", "sqrt", "log"):
    case(_name, positive(2, 3))
case("pow", positive(2, 3), (3,))
case("mod", (5, 4), positive(4), label="-floats")
case("mod", integers(-9, 9, 5, 4), np.array([3, -3, 4, -4]), label="-ints")
case("add", integers(-9, 9, 5, 4), integers(-9, 9, 4), label="-ints")
case("where", truths(2, 3), (2, 3), (3,))
case("where", truths(2, 1), (4, 2, 3), ())
case("cast", lambda rng: rng.normal(size=(2, 3)) * 5, dtype="i64", label="-to-i64")
case("cast", integers(-3, 3, 4), dtype="f32", label="-to-f32")
case("cast", integers(-1, 2, 4), dtype="bool", label="-to-bool")
case("cast", truths(4), dtype="i32", label="-to-i32")

for _name in ("equal", "less", "less_equal", "greater", "greater_equal"):
    case(_name, integers(0, 3, 4, 3), integers(0, 3, 3))
    case(
        _name,
        lambda rng: rng.integers(0, 3, size=(4, 3)) * 0.5,
        lambda rng: rng.integers(0, 3, size=(3,)) * 0.5,
    )
for _name in ("logical_and", "logical_or", "logical_xor"):
    case(_name, truths(4, 3), truths(3))
case("logical_not", truths(4, 3))

for _name in (
    *("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "celu", "hard_sigmoid", "hard_swish"),
    *("softplus", "softsign", "gelu", "thresholded_relu", "mish"),
):
    case(_name, lambda rng: rng.normal(size=(3, 5)) * 3)
for _name in ("leaky_relu", "elu", "celu", "thresholded_relu"):
    case(_name, (3, 5), alpha=0.7, label="-alpha")
case("selu", (3, 5), alpha=1.5, gamma=0.5, label="-given")
case("hard_sigmoid", (3, 5), alpha=0.3, beta=0.25, label="-given")
case("gelu", (3, 5), approximate="tanh", label="-tanh")
case("prelu", (2, 3, 4), (4,))
case("prelu", (2, 3, 4), (3, 1))
for _name in ("softmax", "log_softmax"):
    case(_name, (2, 3, 4), axis=2)
    case(_name, (2, 3, 4), axis=1)

case("matmul", (2, 3), (3, 4))
case("matmul", (5, 2, 3), (3, 4))
case("matmul", (5, 1, 2, 3), (4, 3, 2))
case("gemm", (2, 3), (3, 4), (4,))
case("gemm", (2, 3), (3, 4), (2, 4))
case("einsum", (2, 3), (3, 4), equation="...k,kn->...n", label="-matmul")
case("einsum", (2, 3, 4), (2, 4, 5), equation="...ij,...jk->...ik", label="-batch")
case("einsum", (2, 3), (2, 4), equation="bi,bj->bij", label="-outer")
case("einsum", (2, 3), (4, 2), equation="bi,jb->bij", label="-turned")
case("einsum", (2, 3, 4), equation="bij->jb", label="-sum")
case("layer_norm", (2, 3, 4), (4,), axis=2)
case("layer_norm", (2, 3, 4), (4,), (4,), axis=2, epsilon=1e-3)
case("layer_norm", (2, 3, 4), (3, 4), (3, 4), axis=1)

for _name in ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"):
    case(_name, (2, 3, 4), axes=(1,))
    case(_name, (2, 3, 4), axes=(0, 2))
    case(_name, (2, 3, 4), axes=(2, 1), keepdims=True, label="-kept")
case("reduce_sum", integers(-5, 5, 2, 3), axes=(1,), label="-ints")
case("cumsum", (2, 3, 4), axis=1)
case("argmax", (2, 3, 4), axis=1)
case("argmax", integers(0, 3, 4, 6), axis=1, keepdims=True, label="-ties")

case("concat", (2, 3), (2, 1), (2, 4), axis=1)
case("concat", (2, 3), axis=0)
case("slice", (2, 7), axis=1, start=1, stop=5)
case("slice", (2, 7), axis=1, start=-6, stop=-1, step=2, label="-stepped")
case("slice", (2, 7), axis=1, start=2, stop=None, label="-open")
case("slice", (2, 7), axis=1, start=-1, stop=None, step=-1, label="-reversed")
case("slice", (2, 7), axis=1, start=5, stop=1, step=-2, label="-back")
case("slice", (2, 7), axis=1, start=3, stop=3, label="-empty")
case("split", (2, 6), axis=1, sizes=(1, 2, 3))
case("split", (4, 6), axis=0, sizes=(4,))
case("reshape", (2, 6), shape=(2, 3, 2))
case("reshape", (2, 6), shape=(4, 3))
case("transpose", (2, 3, 4), perm=(1, 2, 0))
case("unsqueeze", (2, 3), axes=(1,))
case("unsqueeze", (2, 3), axes=(3, 0), label="-two")
case("squeeze", (2, 1, 3, 1), axes=(1, 3))
case("expand", (3, 1), shape=(2, 3, 4))
case("expand", (), shape=(2, 3))
case("pad", (2, 3), axis=1, before=2, after=1)
case("pad", (2, 3), axis=0, before=0, after=1, value=-1.5)
case("gather", (5, 3), integers(-5, 5, 2, 4), axis=0)
case("gather", (5, 3), integers(-3, 3, 2), axis=1)
case("gather", (5, 3), integers(0, 5), axis=0, label="-one")
case("one_hot", integers(-4, 4, 2, 3), depth=4)
case("one_hot", integers(0, 9, 3), depth=4, label="-outside")
case("one_hot", integers(0, 4, 3), depth=4, dtype="i64", label="-i64")
case("size", (2, 3), axis=1)
case("tail", (5, 2), n=3)
case("tail", (2, 2), n=3)
case("every", (5, 2), k=2)
case("every", (4, 2), k=4)
case("every", (0, 2), k=3, label="-none")
case("arange", stop=4)
case("arange", stop=0, label="-empty")

case("conv", (2, 3, 8), (4, 3, 3), (4,))
case("conv", (2, 3, 8), (4, 3, 2), strides=(2,), pads=(2, 1), dilations=(3,), label="-1d")
case("conv", (2, 4, 8), (6, 2, 3), group=2, label="-groups")
case("conv", (2, 4, 8), (4, 1, 3), (4,), pads=(2, 0), group=4, label="-causal-depthwise")
case("conv", (1, 2, 5, 6), (3, 2, 2, 3), (3,))
case(
    "conv",
    (2, 4, 7, 6),
    (4, 2, 3, 2),
    strides=(2, 1),
    pads=(1, 0, 2, 1),
    dilations=(1, 2),
    group=2,
    label="-2d",
)


def recurrent(name: str, gates: int, states: int, *more: Any, d: int = 1, steps: int = 4, **kw: Any) -> None:
    """A case of a recurrent op with 3 sequences of 2 features and a state of 5."""
    shapes = [(steps, 3, 2), (d, gates * 5, 2), (d, gates * 5, 5), (d, 2 * gates * 5), *[(d, 3, 5)] * states]
    case(name, *shapes, *more, **kw)


_LENGTHS = np.array([4, 1, 3])
recurrent("lstm", 4, 2)
recurrent("lstm", 4, 2, (1, 15), label="-peepholes")
for _name, _gates, _states, _peepholes in (
    ("lstm", 4, 2, [np.zeros((2, 15))]),
    ("gru", 3, 1, []),
    ("rnn", 1, 1, []),
):
    _sizes = (_name, _gates, _states)
    _one, _both = [*(p[:1] for p in _peepholes), _LENGTHS], [*_peepholes, _LENGTHS]
    recurrent(*_sizes, direction="reverse", label="-reverse")
    recurrent(*_sizes, *_one, label="-ragged", reference=False)
    recurrent(*_sizes, *_one, direction="reverse", label="-ragged-reverse", reference=False)
    recurrent(*_sizes, d=2, direction="bidirectional", label="-both")
    recurrent(*_sizes, *_both, d=2, direction="bidirectional", label="-ragged-both", reference=False)
recurrent("lstm", 4, 2, input_forget=True, label="-coupled", reference=False)
recurrent("lstm", 4, 2, (1, 15), input_forget=True, label="-coupled-peepholes", reference=False)
recurrent("lstm", 4, 2, activations=("HardSigmoid", "Affine", "Softsign"), alphas=(0.3, 1.0),
          betas=(0.4, 0.0), label="-activations", reference=False)  # fmt: skip
recurrent("lstm", 4, 2, d=2, direction="bidirectional", alphas=(0.3, 0.2), betas=(0.4,), reference=False,
          activations=("Sigmoid", "HardSigmoid", "Relu", "Sigmoid", "LeakyRelu", "Tanh"),
          label="-activations-both")  # fmt: skip
recurrent("gru", 3, 1)
recurrent("gru", 3, 1, linear_before_reset=True, label="-linear")
recurrent("gru", 3, 1, activations=("Sigmoid", "LeakyRelu"), alphas=(0.2,), label="-leaky", reference=False)
recurrent("rnn", 1, 1)
for _f, *_given in (
    ("Affine", 0.5, 0.1), ("Elu",), ("Elu", 0.7), ("HardSigmoid",), ("HardSigmoid", 0.3, 0.4),
    ("LeakyRelu", 0.3), ("Relu",), ("ScaledTanh", 0.5, 1.5), ("Softplus",), ("Softsign",),
    ("ThresholdedRelu", 0.1),
):  # fmt: skip
    recurrent("rnn", 1, 1, activations=(_f,), alphas=tuple(_given[:1]), betas=tuple(_given[1:]),
              reference=False, label="-".join(map(str, ("", _f, *_given))))  # fmt: skip

for _k in (1, 2, 6, -1, -3):
    _init = (3, 2) if abs(_k) == 1 else (abs(_k), 3, 2)
    case("shift", (4, 3, 2), _init, k=_k)
    case("shift", (4, 3, 2), _init, _LENGTHS, k=_k)
    if _k > 0:
        case("final", (4, 3, 2), _init, k=_k)
        case("final", (4, 3, 2), _init, _LENGTHS, k=_k)
for _axis, _init in ((1, (5, 2)), (2, (3, 4)), (2, (3, 1))):
    case("window", (4, 3, 2), _init, axis=_axis)
case("window", (0, 3, 2), (3, 1), axis=2)
case("reverse", (4, 3, 2))
case("reverse", (4, 3, 2), _LENGTHS)
case("shift", (0, 3, 2), (3, 2), k=1)
case("final", (0, 3, 2), (2, 3, 2), k=2)

_MEMORY = ((2, 4, 3), (2, 4, 3), (2, 4, 5), (2, 1, 3, 5))
for _features in (1, 3):
    _rates = (
        lambda rng, d=_features: -rng.uniform(0, 1, (2, 4, d)),
        lambda rng: rng.uniform(0, 1, (2, 4, 1)),
    )
    case("linear_attention", *_MEMORY, *_rates[:1], rule="gated", reference=False)
    case("linear_attention", *_MEMORY, *_rates, rule="gated_delta", reference=False)
case("linear_attention", *_MEMORY, rule="linear", reference=False)
