"""A model repository of Triton Inference Server, made of a step file.

    REPO/NAME/config.pbtxt              what Triton is to do: built and read with its own protobuf definition
    REPO/NAME/1/model.onnx              the file, its states as a server feeds them (rnnc.export.wiring)
    REPO/NAME/initial_state/INPUT       the first value of a state that does not start at zeros, row-major

Triton keeps each sequence's states (its *implicit state*): what a request gives as ``output_name`` comes
with the sequence's next request as ``input_name``, and its first, which the client flags as the start, gets
``initial_state``. Control inputs are all optional. Those of ``rnnc.export.wiring`` make the model right
without ``initial_state`` as well, which Triton 21.12 does not know (triton-inference-server/server#6023):
there a state is at first what was in memory.

What Triton asks for, by "Implicit State Management" in its user guide, by ``sequence_batch_scheduler.cc`` and
``sequence_state.cc`` of triton-inference-server/core, and by ``onnxruntime.cc`` of its onnxruntime_backend:

- The strategy ``oldest`` makes a batch of any streams that have a request, at most one of each. ``direct``
  ties a stream to a row of the batch, for models that keep their states themselves: there would be as many
  streams as rows, and rows without a request computed for nothing.
- Dims of states, and of their initial values, are without the batch; what has no other axis is ``[1]``, for
  inputs and outputs with a ``reshape``.
- The input of a state is found from its output by its place among the names in order
  (``SequenceStates::OutputState``). Where inputs and outputs sort differently, as for states ``h`` and
  ``h_new`` (``h_in``, ``h_new_in``, but ``h_new_out``, ``h_out``), states would be crossed; in a
  repository they never do.
- A stream idle for ``max_sequence_idle_microseconds``, one second unless set, loses its states.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnc.aside import folder_aside
from rnnc.emit.save import save
from rnnc.errors import FileError, FormError, MissingExtra, RnncError
from rnnc.export.wiring import CONTROLS, Served, Wired, serve
from rnnc.inspect import manifest_of, read_model
from rnnc.ports import StatePort
from rnnc.runtime import session

#: Triton's name of each element type.
TYPES: Mapping[str, str] = {
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "bool": "TYPE_BOOL",
}

#: Where Triton looks for files of initial states.
INITIAL = "initial_state"


@dataclass(frozen=True)
class Limits:
    """What the server holds: requests in a batch, streams at a time, seconds for which one may idle."""

    batch: int = 64
    streams: int = 1024
    idle: float = 60.0


@dataclass(frozen=True)
class Row:
    """A state in the manifest and in the configuration, as texts."""

    path: str
    manifest: str
    manifest_initial: str
    config: str
    config_initial: str


def export(
    path: str | Path,
    repository: str | Path,
    name: str | None = None,
    *,
    limits: Limits | None = None,
    controls: bool = True,
    replace: bool = False,
) -> tuple[Row, ...]:
    """Write the step file ``path`` into a repository, as the model ``name`` or its own; each state, compared.

    The model's folder appears whole or not at all. One that is there is an error, unless ``replace``.
    """
    protos = _protos()
    name = name or Path(path).name.partition(".")[0]
    if not name or "/" in name or name.startswith("."):
        raise RnncError(f"{name!r} is not the name of a folder", hint="Name the model with --name.")
    model = read_model(path)
    manifest = _manifest(path, manifest_of(model))
    served = serve(model, manifest, controls=controls)
    files = {s.input: s.initial.tobytes() for s in served.states if any(s.initial.tobytes())}
    config = configuration(name, manifest, served, limits or Limits())
    text = protos.text.MessageToString(config, as_utf8=True)
    repository = Path(repository)
    target = repository / name
    if target.exists() and not replace:
        raise FileError(f"{target} is there already", hint="Give --replace, or another --name.")
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with folder_aside(target) as folder:
            (folder / "1").mkdir()
            save(served.model, folder / "1" / "model.onnx")
            (folder / "config.pbtxt").write_text(text, encoding="utf-8")
            if files:
                (folder / INITIAL).mkdir()
            for file, content in files.items():
                (folder / INITIAL / file).write_bytes(content)
            return check(folder, manifest)
    except OSError as error:
        raise FileError(
            f"{target} cannot be written: {error.strerror or error}",
            hint="Choose a folder that you may write to.",
        ) from error


def configuration(name: str, manifest: Mapping[str, Any], served: Served, limits: Limits) -> Any:
    """Triton's ``ModelConfig`` of a step file."""
    config = _protos().config.ModelConfig(name=name, backend="onnxruntime", max_batch_size=limits.batch)
    for entry in manifest["inputs"]:
        _tensor(config.input.add(), entry)
    for entry in manifest["outputs"]:
        _tensor(config.output.add(), entry)
    if not served.states:
        config.dynamic_batching.SetInParent()
        return config
    batching = config.sequence_batching
    batching.max_sequence_idle_microseconds = round(limits.idle * 1e6)
    batching.oldest.max_candidate_sequences = limits.streams
    for control, kind in zip(served.controls, CONTROLS, strict=False):
        entry = batching.control_input.add(name=control).control.add()
        entry.kind = entry.Kind.Value(f"CONTROL_SEQUENCE_{kind}")
        entry.bool_false_true[:] = [False, True]
    for wired in served.states:
        _state(batching.state.add(), wired)
    return config


def check(folder: Path, manifest: Mapping[str, Any]) -> tuple[Row, ...]:
    """Read a model's folder back, and compare it with the manifest and with the model, as Triton would.

    The configuration must parse; each state of the manifest must be there, with its type, shape and first
    value; and the model must take and give just what the configuration says. An :class:`RnncError` if not.
    """
    protos = _protos()
    text = (folder / "config.pbtxt").read_text(encoding="utf-8")
    try:
        config = protos.text.Parse(text, protos.config.ModelConfig())
    except protos.text.ParseError as error:
        raise RnncError(f"{folder / 'config.pbtxt'} is no configuration of Triton: {error}") from error
    _compare(config, folder / "1" / "model.onnx")
    states = list(config.sequence_batching.state)
    if len(states) != len(manifest["states"]):
        raise RnncError(f"the configuration has {len(states)} states, the file {len(manifest['states'])}")
    return tuple(_row(folder, e, s) for e, s in zip(manifest["states"], states, strict=True))


def _manifest(path: str | Path, found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The manifest of a file that can be served so."""
    if found is None:
        raise FileError(
            f"{path} has no manifest, so its states are not known", hint="Write it with rnnc compile."
        )
    if found["form"] != "step":
        raise FormError(
            f"{path} is of {found['form']} form, and Triton is given one step a request",
            hint="Compile the model with --form step.",
        )
    if not found["inputs"]:
        raise FormError(f"{path} has no input, and a request to Triton must have one")
    for entry in (*found["inputs"], *found["outputs"]):
        shape = entry["shape"]
        if shape[:1] != ["B"] or any(isinstance(d, str) for d in shape[1:]):
            raise FormError(f"{entry['name']} is {shape}: only its first axis, the batch, may be open")
    return found


def _tensor(entry: Any, port: Mapping[str, Any]) -> None:
    entry.name = port["name"]
    entry.data_type = _type(port["dtype"])
    entry.dims[:] = port["shape"][1:] or [1]
    if not port["shape"][1:]:
        entry.reshape.SetInParent()


def _state(entry: Any, wired: Wired) -> None:
    entry.input_name, entry.output_name = wired.input, wired.output
    entry.data_type = _type(wired.dtype)
    entry.dims[:] = wired.dims
    initial = entry.initial_state.add(name=wired.path, data_type=entry.data_type, dims=wired.dims)
    if any(wired.initial.tobytes()):
        initial.data_file = wired.input
    else:
        initial.zero_data = True


def _type(dtype: str) -> Any:
    return _protos().config.DataType.Value(TYPES[dtype])


# -- reading it back -----------------------------------------------------------------------------------------


def _compare(config: Any, model: Path) -> None:
    """Compare what a configuration says of the model's inputs and outputs with those it has."""
    opened = session(model)
    batching = config.sequence_batching
    inputs = {t.name: (t.data_type, _dims(t)) for t in config.input}
    inputs |= {s.input_name: (s.data_type, list(s.dims)) for s in batching.state}
    inputs |= {c.name: (_type("bool"), [1]) for c in batching.control_input}
    outputs = {t.name: (t.data_type, _dims(t)) for t in config.output}
    outputs |= {s.output_name: (s.data_type, list(s.dims)) for s in batching.state}
    for told, found in ((inputs, opened.get_inputs()), (outputs, opened.get_outputs())):
        has = {t.name: (_type(_dtype(t.type)), t.shape[1:]) for t in found if isinstance(t.shape[0], str)}
        if told != has:
            raise RnncError(f"the configuration says {told}, and the model has {has}")
    pairs = [(s.input_name, s.output_name) for s in batching.state]
    if sorted(pairs) != sorted(pairs, key=lambda pair: pair[1]):
        raise RnncError(f"the names of the states sort differently before and after a step: {pairs}")


def _dims(tensor: Any) -> list[int]:
    return list(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims)


def _dtype(told: str) -> str:
    """NumPy's name of what onnxruntime calls ``tensor(float)``."""
    name = told.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _row(folder: Path, entry: Mapping[str, Any], state: Any) -> Row:
    """A state of the manifest beside that of the configuration, which must be the same."""
    port = StatePort.read(entry)
    (initial,) = state.initial_state
    first = np.moveaxis(port.first(1), port.before.shape.index("B"), 0)
    content = bytes(first.nbytes)
    if initial.WhichOneof("state_data") == "data_file":
        content = (folder / INITIAL / initial.data_file).read_bytes()
    dims = list(first.shape[1:]) or [1]
    names = state.input_name.endswith(entry["input"]) and state.output_name.endswith(entry["output"])
    same = names and state.data_type == initial.data_type == _type(entry["dtype"])
    if not same or not list(state.dims) == list(initial.dims) == dims or content != first.tobytes():
        raise RnncError(f"the state {port.path} is {entry} in the manifest, and in the configuration {state}")
    value = entry["initial"]
    return Row(
        port.path,
        f"{port.before.name} → {port.after}, {port.before.shown}",
        str(value) if not isinstance(value, dict) else f"array {value['shape']}",
        f"{state.input_name} → {state.output_name}, {_protos().config.DataType.Name(state.data_type)} {dims}",
        f"{INITIAL}/{initial.data_file}" if initial.data_file else "zero_data",
    )


class _Protos(NamedTuple):
    """Triton's own definition of a configuration, and protobuf's text form."""

    config: Any
    text: Any


@functools.cache
def _protos() -> _Protos:
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise MissingExtra(
            "an export for Triton takes Triton's own definition of a configuration, from tritonclient",
            hint="Install it: pip install 'rnnc[triton]'",
        ) from error
    return _Protos(model_config_pb2, text_format)
