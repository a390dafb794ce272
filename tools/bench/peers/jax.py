"""JAX, as one writes a cell there: the whole sequence under ``jit``, its loops as ``lax.scan``.

``lax.scan`` is not unrolled: at nine cells and sizes on a CPU, ``unroll`` of 4, 10 and 25 is at best 2 %
faster than 1, and up to four times slower. A loop that is a linear recurrence is run as
``lax.associative_scan`` too, as a peer of its own. JAX takes as many threads as it has processors, whatever
it is told: the process must be pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

from rnnc.machine.library import Library
from tools.bench.associating import is_linear
from tools.bench.handwritten import Kit, Loop, Sequence, Unsupported, carried, over_time, streaming
from tools.bench.peers import Peer, Ready
from tools.bench.subject import Subject


def own() -> dict[str, Callable[..., Any]]:
    """JAX's own functions for ops whose bodies would call several."""
    from jax import lax, nn
    from jax import numpy as jnp

    return {
        "sigmoid": nn.sigmoid,
        "relu": nn.relu,
        "leaky_relu": lambda x, alpha=0.01: nn.leaky_relu(x, alpha),
        "elu": lambda x, alpha=1.0: nn.elu(x, alpha),
        "softplus": nn.softplus,
        "softsign": nn.soft_sign,
        "gelu": lambda x, approximate="none": nn.gelu(x, approximate == "tanh"),
        "mish": nn.mish,
        "hard_swish": lambda x: x * jnp.clip(x / 6 + 0.5, 0, 1),
        "softmax": lambda x, axis: nn.softmax(x, axis),
        "log_softmax": lambda x, axis: nn.log_softmax(x, axis),
        "erf": lax.erf,
    }


def kit() -> Kit:
    """JAX in float32, on the CPU."""
    from jax import numpy as jnp

    return Kit(Library(asarray=jnp.asarray, floats="f32"), own())


class JaxScan(Peer):
    """Loops as ``lax.scan``."""

    name: ClassVar[str] = "jax"
    needs: ClassVar[tuple[str, ...]] = ("jax",)

    def ready(self, subject: Subject) -> Ready:
        """The cell under ``jit``."""
        if subject.entry.form == "step":
            return _stepped(subject)
        return _jitted(subject, over_time(subject, kit(), scan))


class JaxAssociative(Peer):
    """Loops as ``lax.associative_scan`` if they are linear recurrences, of which there must be one."""

    name: ClassVar[str] = "jax.associative"
    needs: ClassVar[tuple[str, ...]] = ("jax",)

    def ready(self, subject: Subject) -> Ready:
        """The cell under ``jit``."""
        if subject.entry.form == "step":
            raise Unsupported("one step has nothing to associate")
        program = over_time(subject, kit(), lambda x: associative(x) if is_linear(x.steps) else scan(x))
        if not any(map(is_linear, program.loops())):
            raise Unsupported("it has no linear recurrence")
        return _jitted(subject, program)


def scan(loop: Loop) -> list[Any]:
    """A loop, step after step."""
    from jax import lax

    def cell(slots: Any, now: Any) -> Any:
        frame = {**loop.given, **now}
        after = loop.steps.step(frame, slots)
        return after, [frame[v] for v in loop.steps.outputs]

    _, outputs = lax.scan(cell, loop.slots, loop.streams, length=loop.count, reverse=loop.reverse)
    return list(outputs)


def associative(loop: Loop) -> list[Any]:
    """A linear loop, h = a∘h⁻ + b, for all steps at once: of two such steps, both together are one."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    ((start,),) = loop.slots

    def cell(now: Any, before: Any) -> Any:
        frame = {**loop.given, **now}
        ((after,),) = loop.steps.step(frame, [(before,)])
        return after, [frame[v] for v in loop.steps.outputs]

    def parts(now: Any) -> Any:
        b, a = jax.jvp(lambda h: cell(now, h)[0], [jnp.zeros_like(start)], [jnp.ones_like(start)])
        return a, b

    def both(first: Any, second: Any) -> Any:
        return first[0] * second[0], first[1] * second[0] + second[1]

    steps = jax.vmap(parts, axis_size=loop.count)(loop.streams)
    a, b = lax.associative_scan(both, steps, reverse=loop.reverse)
    after = a * start + b
    before = [after[1:], start[None]] if loop.reverse else [start[None], after[:-1]]
    return list(jax.vmap(cell, axis_size=loop.count)(loop.streams, jnp.concatenate(before))[1])


def _jitted(subject: Subject, program: Sequence) -> Ready:
    import jax

    weights = {v: jax.numpy.asarray(array) for v, array in program.weights.items()}
    inputs = {name: jax.numpy.asarray(x) for name, x in subject.inputs.items()}
    run = jax.jit(program)

    def call() -> Any:
        return jax.block_until_ready(run(weights, inputs))

    return Ready(call, lambda: list(call()))


def _stepped(subject: Subject) -> Ready:
    import jax

    steps, known, slots = streaming(subject, kit())
    read = {o for v in steps.each for o in steps.graph.operands(v)} & known.keys()
    weights = {v: known.pop(v) for v in read if known[v].ndim}  # numbers become part of the code
    names, depths = list(subject.at(0)), [len(held) for held in slots]

    def step(weights: Any, now: Any, held: Any) -> Any:
        rest = iter(held)
        frame = {**known, **weights, **dict(zip(names, now, strict=True))}
        after = steps.step(frame, [tuple(islice(rest, depth)) for depth in depths])
        return sum(after, ()), [frame[v] for v in steps.outputs]

    jitted = jax.jit(step)

    def cell(*args: Any) -> Any:
        return jax.block_until_ready(jitted(weights, args[: len(names)], args[len(names) :]))

    return carried(cell, sum(slots, ()), subject, jax.numpy.asarray)
