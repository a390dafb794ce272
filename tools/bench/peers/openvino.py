"""OpenVINO on the same naive file that onnxruntime is given, its shapes fixed and its arithmetic float32."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from rnnc.emit.save import to_bytes
from tools.bench.peers import Peer, Ready
from tools.bench.peers.onnxruntime import ArrayStepper, naive
from tools.bench.subject import Subject


class OpenVino(Peer):
    """The naive file, compiled for the CPU and for latency."""

    name: ClassVar[str] = "openvino"
    needs: ClassVar[tuple[str, ...]] = ("openvino",)

    def ready(self, subject: Subject) -> Ready:
        """The cell as it is written."""
        # Its telemetry forks processes that call home in the middle of a measurement. Let it find none.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        compiled = naive(subject)
        core = openvino.Core()
        model = core.read_model(to_bytes(compiled.proto))
        model.reshape({port.any_name: _fixed(port, subject.entry.B) for port in model.inputs})
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": str(subject.entry.cpus),
        }
        request = core.compile_model(model, "CPU", options).create_infer_request()

        def run(feeds: dict[str, Any]) -> list[Any]:
            return list(request.infer(feeds, share_inputs=True).values())

        if subject.entry.form == "sequence":
            return Ready(lambda: run(subject.inputs), lambda: run(subject.inputs))
        stepper = ArrayStepper(run, compiled, subject)
        return Ready(stepper.call, stepper.answer)


def _fixed(port: Any, batch: int) -> list[int]:
    """A port's shape, in which only the batch is open."""
    return [batch if size.is_dynamic else size.get_length() for size in port.get_partial_shape()]
