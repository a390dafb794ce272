"""Triton's sequence batcher with implicit state, as ``sequence_batch_scheduler.cc`` of its core has it, and a
server of it that speaks Triton's protocol.

It knows a model by its repository alone. It keeps a state for each sequence, as bytes of ``initial_state`` at
first; makes batches of requests of any sequences, one of each; tells the model by the control inputs which
requests start and end a sequence; and finds the input of a state by the place of the output's name in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format

from rnnc.ir import Array
from rnnc.runtime import session


@dataclass(frozen=True)
class Request:
    """One step of a sequence, whose first and last are flagged."""

    sequence: str
    inputs: Mapping[str, Array]
    start: bool = False
    end: bool = False


class Triton:
    """A model of a repository, served. With ``initial=False`` a state is at first whatever is in memory."""

    def __init__(self, folder: Path, *, initial: bool = True) -> None:
        from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

        self.config = text_format.Parse((folder / "config.pbtxt").read_text(), ModelConfig())
        self._folder, self._initial, self._names = folder, initial, DataType.Name
        self._model = session(folder / "1" / "model.onnx")
        self._sequences: dict[str, dict[str, Array]] = {}
        states = self.config.sequence_batching.state
        before, after = sorted(s.input_name for s in states), sorted(s.output_name for s in states)
        self._pairs = dict(zip(after, before, strict=True))

    def infer(self, requests: Sequence[Request], ready: Sequence[bool] | None = None) -> list[list[Array]]:
        """Run one batch; for each request the outputs that a client gets."""
        assert len(requests) <= self.config.max_batch_size
        assert len({r.sequence for r in requests}) == len(requests)
        for request in requests:
            if request.start:
                self._sequences[request.sequence] = self._first()
            assert request.sequence in self._sequences, "must specify the START flag on the first request"
        if self._pairs:
            assert len(self._sequences) <= self.config.sequence_batching.oldest.max_candidate_sequences
        feeds: dict[str, Array] = {}
        for tensor in self.config.input:
            rows = [np.asarray(r.inputs[tensor.name])[None] for r in requests]
            assert all(list(row.shape[1:]) == list(tensor.dims) for row in rows)
            rows = [
                row.reshape(1, *tensor.reshape.shape) if tensor.HasField("reshape") else row for row in rows
            ]
            feeds[tensor.name] = np.concatenate(rows)
        for name in self._pairs.values():
            feeds[name] = np.concatenate([self._sequences[r.sequence][name] for r in requests])
        flags = {
            "CONTROL_SEQUENCE_START": [r.start for r in requests],
            "CONTROL_SEQUENCE_END": [r.end for r in requests],
            "CONTROL_SEQUENCE_READY": ready or [True] * len(requests),
        }
        for control in self.config.sequence_batching.control_input:
            (kind,) = control.control
            values = np.array(kind.bool_false_true)[np.array(flags[kind.Kind.Name(kind.kind)], int)]
            feeds[control.name] = values[:, None]
        outputs = [*(t.name for t in self.config.output), *self._pairs]
        found = dict(zip(outputs, self._model.run(outputs, feeds), strict=True))
        for row, request in enumerate(requests):
            for after, before in self._pairs.items():
                self._sequences[request.sequence][before] = found[after][row : row + 1]
            if request.end:
                del self._sequences[request.sequence]
        return [
            [found[t.name][row].reshape(t.dims) for t in self.config.output] for row in range(len(requests))
        ]

    def states(self, sequence: str) -> dict[str, Array]:
        """The states that are kept for a sequence, by the names of inputs."""
        return self._sequences[sequence]

    def dtype(self, tensor: Any) -> str:
        """NumPy's name of the element type of an input, output or state."""
        return TYPES[self._names(tensor.data_type)]

    def _first(self) -> dict[str, Array]:
        """The states of a sequence that starts."""
        return {s.input_name: self._value(s) for s in self.config.sequence_batching.state}

    def _value(self, state: Any) -> Array:
        (initial,) = state.initial_state
        dtype = self.dtype(initial)
        if not self._initial:
            return np.full((1, *state.dims), 77, dtype)
        if initial.zero_data:
            return np.zeros((1, *initial.dims), dtype)
        content = (self._folder / "initial_state" / initial.data_file).read_bytes()
        return np.frombuffer(content, dtype).reshape(1, *initial.dims)


@contextmanager
def serving(repository: Path) -> Iterator[str]:
    """A server of the models of a repository, which may come later; its address. A request is a batch."""
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc
    from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

    models: dict[str, Triton] = {}

    class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelInfer(self, request: Any, context: Any) -> Any:
            if request.model_name not in models:
                models[request.model_name] = Triton(repository / request.model_name)
            model = models[request.model_name]
            told = request.parameters
            xs = {
                x.name: np.frombuffer(raw, triton_to_np_dtype(x.datatype)).reshape(x.shape)[0]
                for x, raw in zip(request.inputs, request.raw_input_contents, strict=True)
            }
            sequence = str(told["sequence_id"].int64_param)
            flags = (told[f"sequence_{flag}"].bool_param for flag in ("start", "end"))
            (ys,) = model.infer([Request(sequence, xs, *flags)])
            answer = service_pb2.ModelInferResponse(model_name=request.model_name)
            for tensor, y in zip(model.config.output, ys, strict=True):
                answer.outputs.add(
                    name=tensor.name, datatype=np_to_triton_dtype(y.dtype), shape=[1, *y.shape]
                )
                answer.raw_output_contents.append(y.tobytes())
            return answer

    server = grpc.server(ThreadPoolExecutor(1))  # so that requests come one after another
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


#: NumPy's element types by Triton's names.
TYPES = {
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float32",
    "TYPE_FP64": "float64",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_BOOL": "bool",
}
