"""Any field and any byte of a file may be anything: it is read, or refused in one sentence, and in time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, helper

import rnnc
from rnnc.errors import RnncError
from tests.imported.sound import made, nested, step

#: How long the worst of these files may take, in seconds, on a busy machine.
LONG = 20.0


def _seeds() -> list[ModelProto]:
    found = [step(), nested(2)]
    found.append(rnnc.compile(rnnc.cells.LSTM(2, 3), "step").proto)
    recurrent = rnnc.compile(rnnc.cells.Recurrent(2, 3)).proto
    del recurrent.metadata_props[:]
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["seq"], axis=1),
        helper.make_node("SequenceAt", ["seq", "one"], ["part"]),
        helper.make_node("Reshape", ["part", "shape"], ["r"]),
        helper.make_node("Resize", ["r", "", "scales"], ["y"]),
    ]
    shapes = {"one": np.array(1), "shape": np.array([1, 1, -1]), "scales": np.ones(3, np.float32)}
    return [*found, recurrent, made(nodes, {"x": [2, 3]}, {"y": [1, 1, 2]}, **shapes)]


SEEDS = _seeds()
_NUMBERS = [0, 1, -1, 2, 7, 17, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1]
_WORDS = ["", "x", "y", "T", "Scan", "Loop", "If", "LSTM", "Reshape", "Expand", "Tile", "Range", "a\nb%", "é"]


def _messages(message: Any) -> list[Any]:
    found = [message]
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                found += _messages(part)
    return found


def _change(model: ModelProto, draw: Callable[[Any], Any]) -> None:
    """Change one field of one message of a model to something that its type allows."""
    messages = _messages(model)
    message = draw(st.sampled_from(messages))
    field = draw(st.sampled_from(list(message.DESCRIPTOR.fields)))
    names = [n for m in messages if isinstance(m, NodeProto) for n in (*m.input, *m.output)]
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        peers = [m for m in messages if m.DESCRIPTOR is field.message_type]
        if not peers or draw(st.booleans()):
            message.ClearField(field.name)
        else:
            new = type(peers[0])()  # apart, for it may be what it goes into
            new.CopyFrom(draw(st.sampled_from(peers)))
            place = getattr(message, field.name)
            (place.add() if field.is_repeated else place).CopyFrom(new)
        return
    kinds = {
        FieldDescriptor.TYPE_STRING: _WORDS + names,
        FieldDescriptor.TYPE_BYTES: [b"", b"\xff\0\1", b"Tanh"],
        FieldDescriptor.TYPE_FLOAT: [0.0, -1.5, float("inf"), float("nan")],
        FieldDescriptor.TYPE_DOUBLE: [0.0, -1.5, float("inf"), float("nan")],
    }
    new = draw(st.sampled_from(kinds.get(field.type, _NUMBERS)))
    try:
        if field.is_repeated:
            values = [*getattr(message, field.name)]
            at = draw(st.integers(0, len(values)))
            values[at : at + draw(st.integers(0, 1))] = [new]
            message.ClearField(field.name)
            getattr(message, field.name).extend(values)
        else:
            setattr(message, field.name, new)
    except ValueError:  # a number that this field has no room for
        message.ClearField(field.name)


def _is_read_or_refused(data: bytes, path: Path) -> None:
    """Read a file and compile what it is; nothing but an error of rnnc's own may come out, and in time."""
    path.write_bytes(data)
    start, message = time.perf_counter(), "it is read"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rnnc.compile(rnnc.from_onnx(path, {}), "step")
    except RnncError as error:
        message = error.message
    assert len(message.strip().splitlines()) == 1
    assert time.perf_counter() - start < LONG


FUZZED = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZED
@given(st.data())
def test_any_field_may_be_anything(tmp_path: Path, data: st.DataObject) -> None:
    model = ModelProto()
    model.CopyFrom(data.draw(st.sampled_from(SEEDS), label="seed"))
    for _ in range(data.draw(st.integers(1, 4))):
        _change(model, data.draw)
    try:
        content = model.SerializeToString()
    except ValueError:  # text that is not UTF-8 is no protobuf
        return
    _is_read_or_refused(content, tmp_path / "m.onnx")


@FUZZED
@given(st.data())
def test_any_byte_may_be_anything(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SEEDS), label="seed").SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    _is_read_or_refused(bytes(content), tmp_path / "m.onnx")
