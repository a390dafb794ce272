"""C++17, on the C++ face of onnxruntime."""

from __future__ import annotations

from typing import Any

from rnnc.errors import FileError
from rnnc.inspect.wiring.wires import Size, Wire, Wires, finite, literals, quoted

#: The type of each element type.
TYPES = {
    "float32": "float",
    "float64": "double",
    "float16": "Ort::Float16_t",
    "bool": "bool",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def cpp(wires: Wires) -> str:
    """A class that keeps the states of one stream from call to call."""
    given = len(wires.outputs)
    arguments = "".join(f", int64_t {size} = 1" for size in wires.sizes)
    held = "".join(f", {size}_({size})" for size in wires.sizes)
    ins = [*(p.name for p in wires.inputs), *(w.before.name for w in wires.states)]
    outs = [*(p.name for p in wires.outputs), *(w.after for w in wires.states)]
    path = f"const ORTCHAR_T* path = ORT_TSTR({quoted(wires.file)})"
    return "\n".join(
        [
            "#include <onnxruntime_cxx_api.h>",
            "",
            "#include <cstddef>",
            "#include <cstdint>",
            "#include <iterator>",
            "#include <limits>",
            "#include <utility>",
            "#include <vector>",
            "",
            *(f"// {note}" for note in wires.notes),
            "class Stream {",
            " public:",
            f"  explicit Stream(const Ort::Env& env, {path}{arguments})",
            f"      : session_(env, path, Ort::SessionOptions{{}}){held} {{",
            "    reset();",
            "  }",
            "",
            "  // The states are what they are before the first call.",
            "  void reset() {",
            "    states_.clear();",
            *(f"    states_.push_back({_first(w)});" for w in wires.states),
            "  }",
            "",
            "  // The outputs of one call. If it throws, reset() before the next.",
            *(f"  // takes {quoted(p.name)}, {p.shown}" for p in wires.inputs),
            *(f"  // gives {quoted(p.name)}, {p.shown}" for p in wires.outputs),
            "  std::vector<Ort::Value> call(std::vector<Ort::Value> inputs) {",
            f"    static const char* const ins[] = {{{', '.join(map(quoted, ins))}}};",
            f"    static const char* const outs[] = {{{', '.join(map(quoted, outs))}}};",
            "    for (auto& state : states_) inputs.push_back(std::move(state));",
            "    states_.clear();",
            "    const Ort::RunOptions options{nullptr};",
            "    auto results = session_.Run(options, ins, inputs.data(), inputs.size(), outs,",
            "                                std::size(outs));",
            f"    const auto next = results.begin() + {given};",
            "    for (auto i = next; i != results.end(); ++i) states_.push_back(std::move(*i));",
            "    results.erase(next, results.end());",
            "    return results;",
            "  }",
            "",
            " private:",
            "  template <typename T, typename F>",
            "  static Ort::Value filled(const std::vector<int64_t>& shape, F at) {",
            "    Ort::AllocatorWithDefaultOptions allocator;",
            "    auto tensor = Ort::Value::CreateTensor<T>(allocator, shape.data(), shape.size());",
            "    T* to = tensor.template GetTensorMutableData<T>();",
            "    const std::size_t count = tensor.GetTensorTypeAndShapeInfo().GetElementCount();",
            "    for (std::size_t i = 0; i < count; ++i) to[i] = at(i);",
            "    return tensor;",
            "  }",
            "",
            "  Ort::Session session_;",
            *(f"  int64_t {size}_;" for size in wires.sizes),
            "  std::vector<Ort::Value> states_;",
            "};",
        ]
    )


def _member(size: Size) -> Size:
    return f"{size}_" if isinstance(size, str) else size


def _first(wire: Wire) -> str:
    if wire.before.dtype not in TYPES:
        raise FileError(f"onnxruntime has no tensors of {wire.before.dtype} in C++")
    kind = TYPES[wire.before.dtype]

    def number(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if not finite(value):
            of = "double" if kind == "double" else "float"
            name = "quiet_NaN" if value != value else "infinity"
            text = f"{'-' * (value < 0)}std::numeric_limits<{of}>::{name}()"
        elif isinstance(value, float):
            text = repr(value) if kind == "double" else f"{value!r}f"
        elif value == -(2**63):
            text = "std::numeric_limits<int64_t>::min()"
        else:
            text = f"{value}{'u' * kind.startswith('u')}{'ll' * ('64' in kind)}"
        return f"Ort::Float16_t({text})" if kind == "Ort::Float16_t" else text

    shape = f"{{{', '.join(str(_member(d)) for d in wire.before.shape)}}}"
    if wire.scalar is not None:
        return f"filled<{kind}>({shape}, [](std::size_t) {{ return {kind}({number(wire.scalar)}); }})"
    axis = next((n for n, d in enumerate(wire.before.shape) if isinstance(d, str)), None)
    index = wire.index(lambda a, b: f"{a} / ({_members(wire, b)})")
    capture = "this" if axis is not None else ""
    body = f"static const {kind} from[] = {{{literals(wire, number)}}}; return from[{index}];"
    return f"filled<{kind}>({shape}, [{capture}](std::size_t i) {{ {body} }})"


def _members(wire: Wire, expression: str) -> str:
    """An expression in the members of the class, which are no numbers below 0."""
    named = {d for d in wire.before.shape if isinstance(d, str)}
    return " * ".join(f"std::size_t({word}_)" if word in named else word for word in expression.split(" * "))
