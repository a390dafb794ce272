"""A deployed step model: one frame a call, its states tensors that the caller feeds back.

:func:`frame_loop` is how its users run it, and so what everything that is made of it is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]

THREADS = 1


@dataclass(frozen=True)
class StepModel:
    """An ONNX model of one step, and which of its tensors are what.

    ``state`` maps outputs to the inputs that they are fed back to, which start at zeros; ``given`` inputs are
    the same in every call of a run; ``constants`` have one value for ever. All other inputs are streams;
    those of int64 are tokens below ``tokens``.
    """

    proto: onnx.ModelProto
    state: Mapping[str, str]
    given: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = 0

    def inputs(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and dtype of every input; a size that has no number is 1."""
        weights = {w.name for w in self.proto.graph.initializer}
        found = {}
        for value in self.proto.graph.input:
            if value.name not in weights:
                tensor = value.type.tensor_type
                shape = tuple(d.dim_value or 1 for d in tensor.shape.dim)
                found[value.name] = shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        return found

    def streams(self) -> list[str]:
        """The inputs that are another frame in every call."""
        others = {*self.state.values(), *self.given, *self.constants}
        return [name for name in self.inputs() if name not in others]

    def outputs(self) -> list[str]:
        """The outputs that are not states."""
        return [o.name for o in self.proto.graph.output if o.name not in self.state]

    def frames(self, steps: int, seed: int = 0) -> Arrays:
        """``[steps, …]`` for every stream."""
        rng = np.random.default_rng(seed)
        return {name: self._drawn(rng, name, steps) for name in self.streams()}

    def fixed(self, seed: int = 1) -> Arrays:
        """What is given for a run."""
        rng = np.random.default_rng(seed)
        return {name: self._drawn(rng, name) for name in self.given}

    def zeros(self) -> Arrays:
        """The states at first, by input."""
        inputs = self.inputs()
        return {name: np.zeros(*inputs[name]) for name in self.state.values()}

    def _drawn(self, rng: np.random.Generator, name: str, *steps: int) -> Array:
        shape, dtype = self.inputs()[name]
        if dtype.kind == "i":
            return rng.integers(0, self.tokens, (*steps, *shape), dtype)
        return rng.standard_normal((*steps, *shape)).astype(dtype)


def session_of(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session that runs in one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def frame_loop(
    model: StepModel,
    frames: Mapping[str, Array],
    fixed: Mapping[str, Array],
    state: Mapping[str, Array] | None = None,
) -> tuple[Arrays, Arrays]:
    """Every output over time, ``[T, …]``, and the states at the end by the name of their input."""
    session = session_of(model.proto)
    made = [o.name for o in session.get_outputs()]
    held = dict(state) if state is not None else model.zeros()
    always = {**fixed, **{k: np.asarray(v) for k, v in model.constants.items()}}
    ys: dict[str, list[Array]] = {name: [] for name in model.outputs()}
    for t in range(len(next(iter(frames.values())))):
        got = session.run(None, {**always, **{k: x[t] for k, x in frames.items()}, **held})
        for name, value in zip(made, got, strict=True):
            if name in model.state:
                held[model.state[name]] = value
            else:
                ys[name].append(value)
    return {name: np.stack(each) for name, each in ys.items()}, held
