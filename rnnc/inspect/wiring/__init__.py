"""Wiring: the lines of a program that run a file and keep its states, in the languages that onnxruntime has.

    wires = read_wires(model, "step.onnx")
    print(LANGUAGES["python"](wires))

The lines are made from what the file says: which output is which input of the next call, of which type and
shape, and what the states are at first. An open size is a variable, 1 at first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rnnc.inspect.wiring.cpp import cpp
from rnnc.inspect.wiring.javascript import javascript
from rnnc.inspect.wiring.python import python
from rnnc.inspect.wiring.rust import rust
from rnnc.inspect.wiring.wires import Wires as Wires
from rnnc.inspect.wiring.wires import read_wires as read_wires

#: How each language is asked for.
LANGUAGES: Mapping[str, Callable[[Wires], str]] = {
    "python": python,
    "cpp": cpp,
    "js": javascript,
    "rust": rust,
}
