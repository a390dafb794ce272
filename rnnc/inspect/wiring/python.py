"""Python, on onnxruntime."""

from __future__ import annotations

from typing import Any

from rnnc.inspect.wiring.wires import Wire, Wires, finite, literals


def python(wires: Wires) -> str:
    """A module: ``first()`` are the states before the first call, ``call`` gives outputs and next states."""
    inputs = [p.variable for p in wires.inputs]
    outputs = [p.variable for p in wires.outputs]
    feeds = "".join(f"{p.name!r}: {p.variable}, " for p in wires.inputs)
    given = ", ".join(outputs) or "None"
    lines = [
        "import numpy as np",
        "import onnxruntime",
        "",
        *(f"# {note}" for note in wires.notes),
        f"session = onnxruntime.InferenceSession({wires.file!r})",
        *(f"{size} = 1" for size in wires.sizes),
        "",
        "# Which output of a call is which input of the next.",
        "AFTER = {",
        *(f"    {w.before.name!r}: {w.after!r}," for w in wires.states),
        "}",
        "",
        "",
        "def first():",
        '    """The states before the first call."""',
        "    return {",
        *(f"        {w.before.name!r}: {_first(w)}," for w in wires.states),
        "    }",
        "",
        "",
        f"def call({', '.join(['states', *inputs])}):",
        '    """The outputs of one call, and the states for the next."""',
        f"    names = [{', '.join(repr(p.name) for p in wires.outputs)}]",
        f"    found = session.run([*names, *AFTER.values()], {{{feeds}**states}})",
        f"    return (*found[: {len(outputs)}], dict(zip(AFTER, found[{len(outputs)} :])))",
        "",
        "",
        "states = first()",
        *(f"# {p.variable}: {p.shown}" for p in wires.inputs),
        f"# {', '.join([*([given] if outputs else []), 'states'])} = call({', '.join(['states', *inputs])})",
    ]
    return "\n".join(lines)


def _first(wire: Wire) -> str:
    shape, dtype = wire.before.shape, repr(wire.before.dtype)
    sizes = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    if wire.scalar is not None:
        return f"np.full({sizes}, {_number(wire.scalar)}, {dtype})"
    array = f"np.array([{literals(wire, _number)}], {dtype}).reshape({wire.first.shape})"
    return f"np.broadcast_to({array}, {sizes}).copy()"


def _number(value: Any) -> str:
    return repr(value) if finite(value) else f"float({str(value)!r})"
