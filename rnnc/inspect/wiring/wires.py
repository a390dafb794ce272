"""What programs need to know of a file in order to run it and keep its states."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx

from rnnc.emit.manifest import decode
from rnnc.errors import FileError, RnncError
from rnnc.inspect.graphs import Body, short, whole
from rnnc.inspect.pairs import StateReport, guessed, told
from rnnc.inspect.reading import manifest_of, prepared
from rnnc.inspect.sizes import dtype_name, shown_size

#: A size: a number, or the variable that holds it.
Size = int | str

#: Words that no variable of a program is called by, in any of the languages.
TAKEN = frozenset(
    re.findall(
        r"\w+",
        """
    after allocator and array as assert async auto await before bigint bool box break call case catch
    char class const continue count crate data def default del delete dict do double elif else enum env
    err except export extends extern false final finally first float fn for found from function global
    goto i if impl import in inline inputs ins int interface is iter lambda len let list long loop match
    math mod move mut names namespace new next none nonlocal not np null number object ok onnxruntime
    operator option options or ort outputs outs pass path print pub raise range ref register repr
    results return self session shape short signed some states static str stream struct super switch
    take template tensor this throw to trait true try tuple type typeof union unsafe unsigned use using
    value var vec virtual void where while with yield zip
    """,
    )
)


@dataclass(frozen=True)
class Port:
    """An input, an output or a state: its name, and one to call it by in a program."""

    name: str
    variable: str
    dtype: str
    shape: tuple[Size, ...]

    @property
    def shown(self) -> str:
        """What it is, for comments."""
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Wire:
    """A state: the input that takes it, the output that gives the next, and its value before the first call.

    ``first`` is a number, or an array whose open axes have size 1.
    """

    before: Port
    after: str
    first: Any

    @property
    def scalar(self) -> Any:
        """The first value as a number; ``None`` if it is none."""
        return self.first.flat[0].item() if self.first.ndim == 0 else None

    def count(self) -> str:
        """How many elements the state has, as an expression."""
        return times(self.before.shape)

    def index(self, divide: Callable[[str, str], str]) -> str:
        """Which element of ``first`` is element ``i`` of the state, as an expression.

        ``divide`` writes a division that drops the rest.
        """
        axis = next((n for n, d in enumerate(self.before.shape) if isinstance(d, str)), None)
        if axis is None:
            return "i"
        inner = prod(self.first.shape[axis + 1 :])
        block = times(self.before.shape[axis:])
        return f"{divide('i', block)} * {inner} + i % {inner}"


@dataclass(frozen=True)
class Wires:
    """All of a file: ``sizes`` are the open ones, ``note`` what is not known."""

    file: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    states: Sequence[Wire]
    sizes: Sequence[str]
    notes: Sequence[str] = ()


def times(shape: Sequence[Size]) -> str:
    """The product of sizes as an expression."""
    fixed = prod(d for d in shape if isinstance(d, int))
    named = [d for d in shape if isinstance(d, str)]
    return " * ".join(([str(fixed)] if fixed != 1 or not named else []) + named)


def quoted(text: str) -> str:
    """A string literal as C++, JavaScript and Rust all read it."""
    if any(ord(c) < 32 or 0xD7FF < ord(c) < 0xE000 for c in text):
        raise RnncError(f"{short(text)} has characters that no string literal shows")
    return json.dumps(text, ensure_ascii=False)


def literals(wire: Wire, number: Callable[[Any], str]) -> str:
    """The elements of a first value, in order."""
    return ", ".join(number(x.item()) for x in wire.first.ravel())


def finite(value: Any) -> bool:
    """Whether a number has a plain literal."""
    return not isinstance(value, float) or math.isfinite(value)


def read_wires(model: onnx.ModelProto, file: str) -> Wires:
    """The wires of a model that is, or is to be, in ``file``; an error if it has no states."""
    manifest = manifest_of(model)
    if manifest is None:
        model, _ = prepared(model)
    body = whole(model.graph)
    states = [told(s) for s in manifest["states"]] if manifest else guessed(body)
    firsts = [decode(s["initial"], s["dtype"]) for s in manifest["states"]] if manifest else None
    states = [s for s in states if s.input and s.output]
    if not states:
        raise FileError(
            f"{file} has no states to wire"
            if manifest
            else f"{file} has no pair of an input and an output that are evidently a state",
            hint="Compile the model with --form step or chunk." if manifest else "",
        )
    names = _Names()
    notes = [] if manifest else ["Which output is which input is guessed from names and types.",
                                 "What the states are at first is not known: zeros are."]  # fmt: skip
    wires = [_wire(s, firsts[n] if firsts else np.zeros((), s.dtype), names) for n, s in enumerate(states)]
    taken = {s.input for s in states} | {s.output for s in states}
    inputs = [_port(body, n, names) for n in body.inputs if n not in taken]
    outputs = [_port(body, n, names) for n in body.outputs if n not in taken]
    needed = dict.fromkeys(d for w in wires for d in w.before.shape if isinstance(d, str))
    return Wires(file, inputs, outputs, wires, list(needed), notes)


class _Names:
    """Names of tensors and sizes as variables, each its own."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}

    def of(self, kind: str, text: str) -> str:
        """The variable for a name of that kind: the name itself if it can be one."""
        if (kind, text) not in self.known:
            fits = text.isidentifier() and text.isascii() and text.lower() not in TAKEN and len(text) < 60
            wanted = text if fits and not text.startswith("__") else kind
            taken = set(self.known.values())
            found, n = wanted, 2
            while found in taken:
                found, n = f"{wanted}_{n}", n + 1
            self.known[kind, text] = found
        return self.known[kind, text]


def _wire(state: StateReport, first: Any, names: _Names) -> Wire:
    shape = tuple(d if isinstance(d, int) else names.of("size", d) for d in state.shape)
    port = Port(state.input or "", names.of("state", state.input or ""), state.dtype, shape)
    first = np.asarray(first)
    if first.ndim:
        open_axes = [n for n, d in enumerate(shape) if isinstance(d, str)]
        first = np.broadcast_to(first, [d if isinstance(d, int) else 1 for d in shape])
        if len(open_axes) > 1:
            raise FileError(f"the state {state.path} has several open sizes, and first values that differ")
    return Wire(port, state.output or "", first)


def _port(body: Body, name: str, names: _Names) -> Port:
    shape = body.sizes[name]
    sizes = tuple(d if isinstance(d, int) else shown_size(d) for d in shape or ())
    return Port(name, names.of("tensor", name), dtype_name(body.sizes.element(name)), sizes)
