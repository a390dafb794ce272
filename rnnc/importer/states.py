"""States of a step file: which output goes back into which input, and what may be wrong with that."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from onnx import ValueInfoProto

from rnnc.errors import FileError

#: Words that an input's name and an output's name have in their place, of one and the same state.
_BEFORE = r"(?:^|[_./-])(?:in|input|inputs|prev|previous|old|init|initial|past|0|i)(?=$|[_./-])"
_AFTER = r"(?:^|[_./-])(?:out|output|outputs|next|new|final|present|n|o|cur|current)(?=$|[_./-])"


def check_pairs(
    state: Mapping[str, str], inputs: Collection[str], outputs: Collection[str], given: Collection[str]
) -> None:
    """Refuse pairs (output to input) of names that the file does not have, or has used already."""
    for after, before in state.items():
        for name, known, kind in ((after, outputs, "output"), (before, inputs, "input")):
            if name not in known:
                close = get_close_matches(name, list(known), n=3)
                hint = f"Did you mean {' or '.join(close)}?" if close else f"It has {', '.join(known)}."
                raise FileError(f"the file has no {kind} {name!r}", hint=hint)
        if before in given:
            raise FileError(f"the input {before!r} is both a state and given", hint="Say one of the two.")
    twice = [b for b in state.values() if list(state.values()).count(b) > 1]
    if twice:
        raise FileError(f"two outputs go into the input {twice[0]!r}", hint="A state follows one output.")


def evident(inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> dict[str, str]:
    """Outputs and the inputs that they seem to go back into: of one type, and of names alike."""
    found: dict[str, str] = {}
    for after in outputs:
        fits = [i for i in inputs if _alike(i, after) and i.name not in found.values()]
        named = [i.name for i in fits if _stem(i.name, _BEFORE) == _stem(after.name, _AFTER)]
        if len(named) == 1:
            found[after.name] = named[0]
    return found


def _alike(a: ValueInfoProto, b: ValueInfoProto) -> bool:
    """Whether two tensors may be of one type."""
    s, t = a.type.tensor_type, b.type.tensor_type
    if s.elem_type != t.elem_type:
        return False
    if not (s.HasField("shape") and t.HasField("shape")):
        return True
    if len(s.shape.dim) != len(t.shape.dim) or not s.shape.dim:
        return False
    pairs = zip(s.shape.dim, t.shape.dim, strict=True)
    return all(not (p.dim_value and q.dim_value) or p.dim_value == q.dim_value for p, q in pairs)


def _stem(name: str, words: str) -> str:
    """A name without the word that says when it is."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    plain = re.sub(r"(?<=[a-z])(in|out|n)$", r"_\1", plain) if "_" not in plain else plain
    return re.sub(r"[^a-z0-9]", "", re.sub(words, "_", plain))


def proposal(pairs: Mapping[str, str]) -> str:
    """How to say that these are the states."""
    return " ".join(f"--state {after}:{before}" for after, before in pairs.items())
