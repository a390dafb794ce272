"""The Open Inference Protocol (KServe v2): requests and responses, in JSON and with binary tensors.

A request names its stream as Triton has it, by ``sequence_id``, ``sequence_start`` and ``sequence_end`` among
its parameters. Tensors have the shapes of the file, with a batch of one. JSON has no NaN: it is refused in
requests, and ``null`` in responses; binary tensors carry it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from rnnc.errors import Overloaded, RnncError, UnknownStream
from rnnc.ir import Array
from rnnc.serving.turns import Id

DATATYPES = {
    "BOOL": "bool",
    **{f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}
NAMES = {dtype: name for name, dtype in DATATYPES.items()}

#: What a client can be told, and the status of HTTP that goes with it.
STATUS = {
    "MALFORMED": 400,  # no request at all
    "INVALID": 400,  # a request that the model or the stream cannot take
    "MODEL_UNKNOWN": 404,
    "STREAM_UNKNOWN": 404,  # never started, ended, or expired
    "STREAM_LOST": 410,  # its replica is gone, and its state with it: it must be started again
    "TOO_LARGE": 413,
    "OVERLOADED": 503,
    "INTERNAL": 500,
}


class Refusal(RnncError):
    """What a client is told instead of outputs; ``code`` is one of ``STATUS``."""

    def __init__(self, code: str, message: str, sequence: Id | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code, self.sequence = code, sequence

    def __reduce__(self) -> tuple[object, ...]:
        return (Refusal, (self.code, self.message, self.sequence, self.hint))

    @staticmethod
    def of(error: RnncError, sequence: Id | None) -> Refusal:
        """An error of the pool's as a client is told it."""
        if isinstance(error, Refusal):
            return error
        code, hint = "INVALID", error.hint
        if isinstance(error, UnknownStream):
            code, hint = "STREAM_UNKNOWN", "Start it: sequence_start"
        elif isinstance(error, Overloaded):
            code = "OVERLOADED"
        return Refusal(code, error.message, sequence, hint)

    @property
    def status(self) -> int:
        """The status of HTTP."""
        return STATUS[self.code]

    def content(self, id: str | None = None) -> bytes:
        """The response that tells it."""
        found: dict[str, Any] = {
            "error": ". ".join(filter(None, [self.message, self.hint])),
            "code": self.code,
        }
        if self.sequence is not None:
            found["sequence_id"] = self.sequence
        if id is not None:
            found["id"] = id
        return json.dumps(found).encode()


def too_large(most: int) -> Refusal:
    """What a client with a message of more than ``most`` bytes is told."""
    return Refusal("TOO_LARGE", f"the request has more than {most} bytes", hint="Send it in several pieces")


@dataclass
class Ask:
    """A request: a stream, what becomes of it before and after, and its tensors by name."""

    id: str | None = None
    sequence: Id | None = None
    start: bool = False
    end: bool = False
    inputs: dict[str, Array] = field(default_factory=dict)
    outputs: list[str] | None = None
    binary: bool = False


def parse(body: bytes, header: int | None = None) -> Ask:
    """The request in a body; ``header`` bytes of it are JSON, the rest binary tensors."""
    if header is not None and not 0 <= header <= len(body):
        _malformed(f"the header is said to have {header} bytes, and the body has {len(body)}")
    try:
        found = json.loads(body[:header] if header is not None else body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _malformed(f"the request is no JSON: {str(error)[:100] or type(error).__name__}")
    if not isinstance(found, dict):
        _malformed("the request is no JSON object")
    ask = Ask()
    try:
        _fill(ask, found, memoryview(body)[len(body) if header is None else header :])
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.message, ask.sequence, refusal.hint) from None
    return ask


def _fill(ask: Ask, found: Mapping[str, Any], rest: memoryview) -> None:
    if not isinstance(found.get("id", ""), str):
        _malformed("id is no string")
    ask.id = found.get("id")
    told = _object(found.get("parameters", {}), "parameters")
    sequence = told.get("sequence_id")
    if sequence is not None and (isinstance(sequence, bool) or not isinstance(sequence, str | int)):
        _malformed("sequence_id is neither a string nor a whole number")
    if isinstance(sequence, str) and len(sequence) > 256:
        _malformed("sequence_id has more than 256 characters")
    ask.sequence = sequence
    ask.start, ask.end = (_flag(told, f"sequence_{name}") for name in ("start", "end"))
    ask.binary = _flag(told, "binary_data_output")
    wanted = found.get("outputs")
    if wanted is not None:
        entries = [_object(entry, "an output") for entry in _list(wanted, "outputs")]
        ask.outputs = [_name(entry) for entry in entries]
        ask.binary |= any(
            _flag(_object(e.get("parameters", {}), "parameters"), "binary_data") for e in entries
        )
    for entry in _list(found.get("inputs", []), "inputs"):
        name = _name(_object(entry, "an input"))
        if name in ask.inputs:
            _malformed(f"input {name} is there twice")
        ask.inputs[name], rest = _tensor(name, entry, rest)
    if len(rest):
        _malformed(f"{len(rest)} bytes are left after the binary tensors")


def _tensor(name: str, entry: Mapping[str, Any], rest: memoryview) -> tuple[Array, memoryview]:
    shape, datatype = entry.get("shape"), entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        _malformed(f"input {name} has no datatype that is known: {', '.join(DATATYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 32:
        _malformed(f"input {name} has no shape, which is a list of sizes")
    dtype, count = np.dtype(DATATYPES[datatype]).newbyteorder("<"), math.prod(shape)
    size = _object(entry.get("parameters", {}), "parameters").get("binary_data_size")
    if size is not None:
        if type(size) is not int or size != count * dtype.itemsize or size > len(rest):
            there = f"{size} bytes of binary data, and {len(rest)} are there"
            _malformed(f"input {name} is {datatype} {shape}, which is not {there}")
        array = np.frombuffer(rest[:size], dtype).astype(dtype.newbyteorder("="))
        return array.reshape(shape), rest[size:]
    try:
        data = np.array(_list(entry.get("data"), f"the data of input {name}"))
        kinds = {"b": "b", "f": "iuf"}.get(dtype.kind, "iu")
        if data.size and data.dtype.kind not in kinds:
            raise ValueError
        array = data.astype(dtype.newbyteorder("="), casting="unsafe")
        exact = dtype.kind == "f" or not data.size or bool((array == data).all())
        if not exact or array.size != count:
            raise ValueError
    except (ValueError, OverflowError, RecursionError):
        _malformed(f"the data of input {name} are not {count} numbers of {datatype}")
    return array.reshape(shape), rest


def respond(
    model: str, ask: Ask, outputs: Sequence[tuple[str, Array]], sequence: Id
) -> tuple[bytes, list[bytes]]:
    """The response as JSON, and the binary tensors that follow it if the request wants such."""
    tensors, binary = [], []
    for name, array in outputs:
        if ask.outputs is not None and name not in ask.outputs:
            continue
        entry: dict[str, Any] = {
            "name": name,
            "shape": list(array.shape),
            "datatype": NAMES[array.dtype.name],
        }
        if ask.binary:
            binary.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            entry["data"] = _numbers(array)
        tensors.append(entry)
    found: dict[str, Any] = {"model_name": model, "parameters": {"sequence_id": sequence}, "outputs": tensors}
    if ask.id is not None:
        found["id"] = ask.id
    return json.dumps(found, allow_nan=False).encode(), binary


def _numbers(array: Array) -> list[Any]:
    flat: list[Any] = array.ravel().tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [x if math.isfinite(x) else None for x in flat]
    return flat


def metadata(model: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the protocol says of a model: -1 where a size is open."""

    def tensors(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                "name": e["name"],
                "datatype": NAMES[e["dtype"]],
                "shape": [-1 if isinstance(n, str) else n for n in e["shape"]],
            }
            for e in entries
            if e["kind"] != "lengths"
        ]

    return {
        "name": model,
        "versions": ["1"],
        "platform": "rnnc_onnx",
        "inputs": tensors(manifest["inputs"]),
        "outputs": tensors(manifest["outputs"]),
    }


class Shapes:
    """Takes the batch axis off what the protocol brings, and puts it on what it takes away."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self._inputs = {e["name"]: (e["shape"].index("B"), e["kind"]) for e in manifest["inputs"]}
        self._outputs = [(e["name"], e["shape"].index("B")) for e in manifest["outputs"]]

    def frames(self, ask: Ask) -> tuple[tuple[Array, ...] | None, dict[str, Array]]:
        """The frames of a stream in order, none if there are none, and the values that it is given."""
        own: dict[str, dict[str, Array]] = {"stream": {}, "given": {}, "lengths": {}}
        for name, array in ask.inputs.items():
            axis, kind = self._inputs.get(name, (0, "lengths"))
            if kind == "lengths":
                known = [n for n, (_, kind) in self._inputs.items() if kind != "lengths"]
                raise Refusal(
                    "INVALID",
                    f"the model has no input {name:.60}",
                    ask.sequence,
                    f"It has {', '.join(known)}",
                )
            if array.ndim <= axis or array.shape[axis] != 1:
                raise Refusal(
                    "INVALID",
                    f"{name} is {list(array.shape)}, and axis {axis} of it, the batch, should have 1",
                    ask.sequence,
                )
            own[kind][name] = np.squeeze(array, axis)
        wanted = [name for name, (_, kind) in self._inputs.items() if kind == "stream"]
        missing = [name for name in wanted if name not in own["stream"]]
        if missing and (own["stream"] or not ask.end):
            raise Refusal("INVALID", f"the request has no input {', '.join(missing)}", ask.sequence)
        return None if missing else tuple(own["stream"][name] for name in wanted), own["given"]

    def outputs(self, ys: Sequence[Any]) -> list[tuple[str, Array]]:
        """The outputs of a stream by name, as the file shapes them."""
        return [(n, np.expand_dims(y, axis)) for (n, axis), y in zip(self._outputs, ys, strict=False)]


def _malformed(message: str) -> NoReturn:
    raise Refusal("MALFORMED", message)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}: send it as a binary tensor")


def _object(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        _malformed(f"{what} is no JSON object")
    return found


def _list(found: Any, what: str) -> list[Any]:
    if not isinstance(found, list):
        _malformed(f"{what} is no list")
    return found


def _name(entry: Mapping[str, Any]) -> str:
    name = entry.get("name")
    if not isinstance(name, str):
        _malformed("a tensor has no name")
    return name


def _flag(found: Mapping[str, Any], name: str) -> bool:
    value = found.get(name, False)
    if not isinstance(value, bool):
        _malformed(f"{name} is neither true nor false")
    return value
