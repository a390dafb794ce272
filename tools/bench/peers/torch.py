"""PyTorch, as one writes a cell by hand: what can be is done for all steps at once, the rest in a ``for``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from rnnc.ir import Array
from rnnc.machine.library import Library
from tools.bench.handwritten import Kit, Loop, carried, over_time, streaming
from tools.bench.peers import Peer, Ready
from tools.bench.subject import Subject

if TYPE_CHECKING:
    from tools.bench.recording import Recorder


def own() -> dict[str, Callable[..., Any]]:
    """PyTorch's own functions for ops whose bodies would call several."""
    import torch
    from torch.nn import functional as f

    return {
        "gemm": lambda x, w, c: torch.addmm(c, x, w),
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "leaky_relu": lambda x, alpha=0.01: f.leaky_relu(x, alpha),
        "elu": lambda x, alpha=1.0: f.elu(x, alpha),
        "softplus": f.softplus,
        "softsign": f.softsign,
        "gelu": lambda x, approximate="none": f.gelu(x, approximate=approximate),
        "mish": f.mish,
        "hard_swish": f.hardswish,
        "softmax": lambda x, axis: torch.softmax(x, axis),
        "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
        "layer_norm": lambda x, scale, bias=None, *, axis, epsilon=1e-5: f.layer_norm(
            x, x.shape[axis:], scale.expand(x.shape[axis:]), bias, epsilon
        ),
        "split": lambda x, axis, sizes: torch.split(x, sizes, dim=axis),
        "reciprocal": torch.reciprocal,
    }


def serving() -> AbstractContextManager[Any]:
    """What PyTorch is entered with to serve a model."""
    import torch

    found: AbstractContextManager[Any] = torch.inference_mode()
    return found


def kit() -> Kit:
    """PyTorch in float32."""
    import torch

    return Kit(Library(asarray=torch.tensor, floats="f32"), own())


def tensors(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """NumPy's arrays as tensors."""
    import torch

    return {name: torch.tensor(array) for name, array in arrays.items()}


class TorchEager(Peer):
    """The equations as the calls of PyTorch that they are, one by one."""

    name: ClassVar[str] = "torch"
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    def running(self) -> AbstractContextManager[Any]:
        """Without gradients."""
        return serving()

    def ready(self, subject: Subject) -> Ready:
        """The cell, written down."""
        if subject.entry.form == "step":
            return stepped(subject, self.made)
        run = sequence(subject, self.made)
        inputs = list(tensors(subject.inputs).values())
        return Ready(lambda: run(*inputs), lambda: [y.numpy() for y in run(*inputs)])

    def made(self, cell: Callable[..., Any]) -> Callable[..., Any]:
        """What becomes of the function of one step."""
        return cell


class TorchCompiled(TorchEager):
    """The same, its cell compiled by ``torch.compile``."""

    name: ClassVar[str] = "torch.compile"
    usual: ClassVar[bool] = False

    def made(self, cell: Callable[..., Any]) -> Callable[..., Any]:
        """The cell, compiled for its sizes when it is first called."""
        import torch

        compiled: Callable[..., Any] = torch.compile(cell, dynamic=False)
        return compiled


def sequence(subject: Subject, made: Callable[..., Any] = lambda cell: cell) -> Callable[..., Any]:
    """The function from input tensors to output tensors, over time; ``made`` is applied to its cells."""
    import torch

    from tools.bench.recording import Recorder

    recorder = Recorder()
    program = over_time(subject, kit(), lambda loop: _loop(recorder, loop, made))
    weights, inputs = tensors(program.weights), tensors(subject.inputs)
    parameters = recorder.names(inputs.values(), "x")
    with torch.inference_mode(), recorder:
        outputs = program(weights, inputs)
    return recorder.define("sequence", parameters, recorder.lines, f"({recorder.texts(outputs)})")


def _loop(recorder: Recorder, loop: Loop, made: Callable[..., Any]) -> list[Any]:
    """Write a loop as a ``for`` that calls a cell; tensors of its outputs' shapes."""
    import torch

    steps, held = loop.steps, [x for slots in loop.slots for x in slots]
    outer = {name: x for name, x in loop.given.items() if not recorder.is_constant(x)}
    shared = {name: recorder.sample(x) for name, x in outer.items()}
    with recorder.paused():
        now = {name: x[0].clone() for name, x in loop.streams.items()}
    before = [tuple(recorder.sample(x) for x in slots) for slots in loop.slots]
    cell = f"cell{len(recorder.space)}"
    with recorder.apart() as lines:
        streams, states = recorder.names(now.values(), "s"), recorder.names(sum(before, ()), "s")
        parameters = f"{streams}{states}{recorder.names(shared.values(), 's')}"
        frame = loop.given | shared | now
        after = steps.step(frame, before)
        results = [frame[v] for v in steps.outputs]
        made_here = recorder.texts([*sum(after, ()), *results])
        function = recorder.define(cell, parameters, lines, f"({made_here})")
    recorder.space[cell] = made(function)
    with recorder.paused():
        stacked = [torch.stack([y] * loop.count) for y in results]
    collected = [recorder.named(y, "y") for y in results]
    order = "reversed" if loop.reverse else "iter"
    whole = "".join(f"{order}({recorder.text(x)}.unbind(0)), " for x in loop.streams.values())
    given = f"{streams}{states}{recorder.texts(outer.values())}"
    recorder.lines += [
        *(f"{name}_all = []" for name in collected),
        f"{states}= {recorder.texts(held)}" if held else "pass",
        f"for {streams} in zip({whole}):" if streams else f"for _ in range({loop.count}):",
        f"    {states}{''.join(f'{y}, ' for y in collected)}= {cell}({given})",
        *(f"    {name}_all.append({name})" for name in collected),
    ]
    turned = "[::-1]" if loop.reverse else ""
    recorder.space["stack"] = torch.stack
    recorder.lines += [
        f"{recorder.named(y)} = stack({name}_all{turned})" for y, name in zip(stacked, collected, strict=True)
    ]
    return stacked


def stepped(subject: Subject, made: Callable[..., Any]) -> Ready:
    """One step as a function, whose states are carried from call to call."""
    import torch

    from tools.bench.recording import Recorder

    recorder, (steps, frame, slots) = Recorder(), streaming(subject, kit())
    now = tensors(subject.at(0))
    before = [tuple(recorder.sample(s) for s in held) for held in slots]
    parameters = recorder.names([*now.values(), *sum(before, ())], "s")
    with torch.inference_mode(), recorder:
        frame |= now
        after = sum(steps.step(frame, before), ())
    results = [frame[v] for v in steps.outputs]
    text = f"({recorder.texts(after)}), ({recorder.texts(results)})"
    cell = made(recorder.define("cell", parameters, recorder.lines, text))
    return carried(cell, sum(slots, ()), subject, torch.tensor)
