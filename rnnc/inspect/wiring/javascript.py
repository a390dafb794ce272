"""JavaScript, on onnxruntime-node or onnxruntime-web."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnc.errors import FileError
from rnnc.inspect.wiring.wires import Wire, Wires, finite, literals, quoted

#: The array of each element type.
ARRAYS = {
    "float32": "Float32Array",
    "float64": "Float64Array",
    "float16": "Uint16Array",
    "bool": "Uint8Array",
    "int8": "Int8Array",
    "int16": "Int16Array",
    "int32": "Int32Array",
    "int64": "BigInt64Array",
    "uint8": "Uint8Array",
    "uint16": "Uint16Array",
    "uint32": "Uint32Array",
    "uint64": "BigUint64Array",
}


def javascript(wires: Wires) -> str:
    """A module: ``first()`` are the states before the first call, ``call`` gives outputs and next states."""
    inputs = [p.variable for p in wires.inputs]
    feeds = "".join(f"{quoted(p.name)}: {p.variable}, " for p in wires.inputs)
    outputs = ", ".join(f"{quoted(p.name)}: results[{quoted(p.name)}]" for p in wires.outputs)
    lines = [
        'import * as ort from "onnxruntime-node"; // in browsers, "onnxruntime-web"',
        "",
        *(f"// {note}" for note in wires.notes),
        f"const session = await ort.InferenceSession.create({quoted(wires.file)});",
        *(f"const {size} = 1;" for size in wires.sizes),
        "",
        "// Which output of a call is which input of the next.",
        "const AFTER = {",
        *(f"  {quoted(w.before.name)}: {quoted(w.after)}," for w in wires.states),
        "};",
        "",
        "// The states before the first call.",
        "export function first() {",
        "  return {",
        *(f"    {quoted(w.before.name)}: {_first(w)}," for w in wires.states),
        "  };",
        "}",
        "",
        *(f"// {p.variable}: ort.Tensor, {p.shown}" for p in wires.inputs),
        "// The outputs of one call, and the states for the next.",
        f"export async function call({', '.join(['states', *inputs])}) {{",
        f"  const results = await session.run({{ {feeds}...states }});",
        "  const next = Object.entries(AFTER).map(([before, after]) => [before, results[after]]);",
        f"  return [{{ {outputs} }}, Object.fromEntries(next)];",
        "}",
    ]
    return "\n".join(lines)


def _first(wire: Wire) -> str:
    dtype = wire.before.dtype
    if dtype not in ARRAYS:
        raise FileError(f"onnxruntime has no tensors of {dtype} in JavaScript")

    def number(value: Any) -> str:
        if dtype == "float16":
            return str(np.float16(value).view(np.uint16))
        if dtype in ("int64", "uint64"):
            return f"{value}n"
        if isinstance(value, bool):
            return str(int(value))
        special = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
        return repr(value) if finite(value) else special[str(value)]

    shape = f"[{', '.join(map(str, wire.before.shape))}]"
    if wire.scalar is not None:
        data = f"new {ARRAYS[dtype]}({wire.count()}).fill({number(wire.scalar)})"
    else:
        index = wire.index(lambda a, b: f"Math.floor({a} / ({b}))")
        made = f"{ARRAYS[dtype]}.from({{ length: {wire.count()} }}, (_, i) => from[{index}])"
        data = f"((from) => {made})([{literals(wire, number)}])"
    return f"new ort.Tensor({quoted(dtype)}, {data}, {shape})"
