"""Rust, on the crate ort, version 2."""

from __future__ import annotations

from typing import Any

from rnnc.errors import FileError
from rnnc.inspect.wiring.wires import Wire, Wires, finite, literals, quoted

#: The type of each element type.
TYPES = {
    "float32": "f32",
    "float64": "f64",
    "float16": "half::f16",
    "bool": "bool",
    **{f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
}


def rust(wires: Wires) -> str:
    """A type that keeps the states of one stream from call to call."""
    arguments = "".join(f", {size}: usize" for size in wires.sizes)
    passed = ", ".join(wires.sizes)
    selves = ", ".join(f"self.{size}" for size in wires.sizes)
    fields = "".join(f", {size}" for size in wires.sizes)
    declared = ", ".join(f"{size}: usize" for size in wires.sizes)
    outputs = ", ".join(quoted(p.name) for p in wires.outputs)
    return "\n".join(
        [
            "#![allow(non_snake_case)]",
            "use ort::session::Session;",
            "use ort::value::{DynValue, Tensor};",
            "",
            *(f"// {note}" for note in wires.notes),
            "/// Which output of a call is which input of the next.",
            f"const STATES: [(&str, &str); {len(wires.states)}] = [",
            *(f"    ({quoted(w.before.name)}, {quoted(w.after)})," for w in wires.states),
            "];",
            f"const OUTPUTS: [&str; {len(wires.outputs)}] = [{outputs}];",
            "",
            "pub struct Stream {",
            "    session: Session,",
            "    states: Vec<DynValue>,",
            *(f"    {size}: usize," for size in wires.sizes),
            "}",
            "",
            "impl Stream {",
            f"    /// Opens a file such as {wires.file}.",
            f"    pub fn new(path: &str{arguments}) -> ort::Result<Self> {{",
            "        let session = Session::builder()?.commit_from_file(path)?;",
            f"        Ok(Self {{ session, states: Self::first({passed})?{fields} }})",
            "    }",
            "",
            "    /// The states are what they are before the first call.",
            "    pub fn reset(&mut self) -> ort::Result<()> {",
            f"        self.states = Self::first({selves})?;",
            "        Ok(())",
            "    }",
            "",
            "    /// The outputs of one call. If it fails, `reset` before the next.",
            *(f"    /// takes {quoted(p.name)}, {p.shown}" for p in wires.inputs),
            *(f"    /// gives {quoted(p.name)}, {p.shown}" for p in wires.outputs),
            "    pub fn call(",
            "        &mut self,",
            "        mut inputs: Vec<(&'static str, DynValue)>,",
            "    ) -> ort::Result<Vec<DynValue>> {",
            "        let before = STATES.iter().map(|(before, _)| *before);",
            "        inputs.extend(before.zip(self.states.drain(..)));",
            "        let mut results = self.session.run(inputs)?;",
            '        let mut take = |name: &str| results.remove(name).expect("an output of the file");',
            "        self.states = STATES.iter().map(|(_, after)| take(after)).collect();",
            "        Ok(OUTPUTS.iter().map(|name| take(name)).collect())",
            "    }",
            "",
            f"    fn first({declared}) -> ort::Result<Vec<DynValue>> {{",
            "        Ok(vec![",
            *(f"            {_first(w)}," for w in wires.states),
            "        ])",
            "    }",
            "}",
        ]
    )


def _first(wire: Wire) -> str:
    if wire.before.dtype not in TYPES:
        raise FileError(f"the crate ort has no tensors of {wire.before.dtype}")
    kind = TYPES[wire.before.dtype]

    def number(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        plain = "f32" if kind == "half::f16" else kind
        if not finite(value):
            text = f"{plain}::{'NAN' if value != value else 'INFINITY' if value > 0 else 'NEG_INFINITY'}"
        else:
            text = f"{value!r}{plain}"
        return f"half::f16::from_f32({text})" if kind == "half::f16" else text

    sizes = (f"{d} as i64" if isinstance(d, str) else f"{d}_i64" for d in wire.before.shape)
    if wire.scalar is not None:
        data = f"vec![{number(wire.scalar)}; {wire.count()}]"
    else:
        index = wire.index(lambda a, b: f"{a} / ({b})")
        known = f"let from: [{kind}; {wire.first.size}] = [{literals(wire, number)}];"
        data = f"{{ {known} (0..{wire.count()}).map(|i| from[{index}]).collect::<Vec<_>>() }}"
    shape = f"vec![{', '.join(sizes)}]"
    return f"Tensor::from_array(({shape}, {data}))?.into_dyn()"
