"""Options that several commands share: what to take from SRC, and how to compile it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from rnnc.cli.arrays import load_array
from rnnc.cli.source import load, told
from rnnc.cli.terminal import pairs
from rnnc.frontend.layers import Unrolled
from rnnc.ir import Graph

F = TypeVar("F", bound=Callable[..., Any])

FORMS = ("sequence", "chunk", "step", "unroll")

_OPTIONS = (
    click.option("--weights", metavar="FILE", help="Weights to load: .safetensors or .npz."),
    click.option("--shape", "shapes", multiple=True, metavar="x=3,4",
                 help="One step of an input whose shape SRC leaves open. Repeatable."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of random initial weights."),
    click.option("--tap", multiple=True, metavar="NAME",
                 help="A value to give as an output as well. Repeatable."),
)  # fmt: skip

_IMPORT_OPTIONS = (
    click.option("--state", "states", multiple=True, metavar="OUT:IN",
                 help="Of an .onnx file that computes one step: an output, and the input that it goes back "
                      "into at the next. Repeatable; none if the file has no states."),
    click.option("--given", multiple=True, metavar="NAME",
                 help="Of an .onnx file: an input that is the same at every step. Repeatable."),
    click.option("--constant", "constants", multiple=True, metavar="NAME=VALUE",
                 help="Of an .onnx file: a number, or an .npy file, for an input for good. Repeatable."),
    click.option("--time", "times", multiple=True, metavar="INPUT:AXIS",
                 help="Of an .onnx file that computes sequences: an input and its axis of time. Repeatable."),
    click.option("--block", type=int, default=1, metavar="N",
                 help="How many frames along --time are one step, where the rate changes."),
)  # fmt: skip

_FORM_OPTIONS = (
    click.option("--form", type=click.Choice(FORMS), default=None,
                 help="What one call of the file takes: a whole sequence (the default), a chunk of one with "
                      "its states, a single step with its states, or exactly --steps of them."),
    click.option("--steps", type=int, metavar="N", help="Unroll by N steps; goes with --form unroll."),
    click.option("--separate", is_flag=True, help="Unrolled steps have inputs and outputs of their own."),
    click.option("--batch-first", is_flag=True, help="Streams are [B, T, …] rather than [T, B, …]."),
    click.option("--lengths", is_flag=True, help="Take a length for each sequence of a padded batch."),
    click.option("--size", "sizes", multiple=True, metavar="T=1000",
                 help="A size to expect (T or B): a hint for speed, never a limit. Repeatable."),
    click.option("--target", default="cpu", show_default=True, metavar="NAME",
                 help="What the file is to run on."),
    click.option("--profile", metavar="FILE",
                 help="Price plans by a profile of rnnc tune, and not by the built-in one."),
    click.option("--latency", type=int, metavar="L",
                 help="For a model that looks ahead, by steps or chunks: outputs come L steps late."),
    click.option("--autotune", is_flag=True,
                 help="Time every plan on this machine, at the sizes of --size, and keep the fastest."),
    click.option("--opset", type=int, metavar="N",
                 help="The opset to write; by default the oldest that will do."),
)  # fmt: skip


@dataclass(frozen=True)
class Choices:
    """What the shared options chose."""

    weights: str | None = None
    shapes: tuple[str, ...] = ()
    seed: int = 0
    tap: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    block: int = 1
    form: str | None = None
    steps: int | None = None
    separate: bool = False
    batch_first: bool = False
    lengths: bool = False
    sizes: tuple[str, ...] = ()
    target: str = "cpu"
    profile: str | None = None
    autotune: bool = False
    latency: int | None = None
    opset: int | None = None

    def model(self, src: str) -> Any:
        """The model that SRC names, with the weights that were asked for; of an .onnx file, its graph."""
        if src.endswith(".onnx"):
            return self._imported(src)
        found = load(src)
        if self.weights:
            layer = found.model if isinstance(found, Unrolled) else found
            layer.load(self.weights)
        return found

    def reading(self) -> Any:
        """What is said of .onnx files that do not say it themselves."""
        from rnnc.check.files import Reading

        return Reading(self._states(), self.given, self._constants(), self._times(), self.block)

    def _imported(self, path: str) -> Graph:
        """The stream graph of an .onnx file."""
        from rnnc.importer import from_onnx

        for option, value in (("--weights", self.weights), ("--shape", self.shapes), ("--tap", self.tap)):
            if value:
                raise click.UsageError(f"{option} is for models that are written, and {path} is compiled.")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            graph = from_onnx(path, self._states(), self.given, self._constants(), self._times(), self.block)
        for warning in caught:
            click.echo(f"warning: {warning.message}", err=True)
        return graph

    def _states(self) -> dict[str, str] | None:
        """``--state`` as pairs of an output and an input; ``None`` if nothing is said of states."""
        if self.states in ((), ("none",)):
            return {} if self.states else None
        found = {}
        for text in self.states:
            after, colon, before = text.rpartition(":")
            if not colon or not after or not before:
                raise click.UsageError(f"--state {text} is not of the form OUT:IN: write --state h_out:h_in.")
            found[after] = before
        return found

    def _times(self) -> dict[str, int] | None:
        """``--time`` as the axis of each input; ``None`` if the file computes one step."""
        found = {}
        for text in self.times:
            name, colon, axis = text.rpartition(":")
            if not colon or not name:
                raise click.UsageError(f"--time {text} is not of the form INPUT:AXIS: write --time x:0.")
            found[name] = _number(axis, "--time")
        if self.block != 1 and not found:
            raise click.UsageError("--block goes with --time INPUT:AXIS")
        return found or None

    def _constants(self) -> dict[str, Any]:
        """``--constant`` as arrays."""
        found: dict[str, Any] = {}
        for name, text in pairs(self.constants, "--constant", "sr=16000").items():
            found[name] = load_array(text) if text.endswith(".npy") else _scalar(text)
        return found

    def traced(self, src: str) -> Graph:
        """The stream graph of the model that SRC names."""
        from rnnc.frontend.assemble import trace

        found = self.model(src)
        if isinstance(found, Graph):
            return found
        model = found.model if isinstance(found, Unrolled) else found
        with told(src):
            return trace(model, self.shape_of_inputs() or None, self.tap, self.seed)

    def shape_of_inputs(self) -> dict[str, tuple[int, ...]]:
        """``--shape`` as shapes."""
        found = pairs(self.shapes, "--shape", "x=3")
        return {name: tuple(_number(n, "--shape") for n in text.split(",")) for name, text in found.items()}

    def numbers(self) -> dict[str, int]:
        """``--size`` as numbers."""
        return {name: _number(n, "--size") for name, n in pairs(self.sizes, "--size", "T=1000").items()}

    def compiled(self, src: str, pipeline: str | None = None) -> Any:
        """What compiling SRC gives."""
        import rnnc

        model = self.model(src)
        if self.separate:
            if self.steps is None:
                raise click.UsageError("--separate goes with --steps N")
            if isinstance(model, Graph):
                raise click.UsageError("--separate is for models that are written.")
            model = rnnc.unroll(model, self.steps, separate=True)
        form = self.form or ("sequence" if self.steps is None else "unroll")
        sizes = self.numbers()
        with told(src):
            return rnnc.compile(
                model,
                form,  # type: ignore[arg-type]
                steps=None if self.separate else self.steps,
                shapes=self.shape_of_inputs() or None,
                sizes=sizes or None,
                target=self.target,
                seed=self.seed,
                batch_first=self.batch_first,
                lengths=self.lengths,
                tap=self.tap,
                opset=self.opset,
                pipeline=pipeline,
                profile=self.profile,
                autotune=self.autotune,
                latency=self.latency,
            )


def _number(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise click.UsageError(f"{option}: {text.strip()!r} is not a whole number") from None


def _scalar(text: str) -> float | int | bool:
    """A number as the command line has it."""
    words = {"true": True, "false": False}
    try:
        return words[text.lower()] if text.lower() in words else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise click.UsageError(f"--constant: {text!r} is neither a number nor an .npy file") from None


def tracing(command: F) -> F:
    """The options that decide the model: its weights, open shapes, seed and taps, and how a file is read."""
    return _with(command, (*_OPTIONS, *_IMPORT_OPTIONS))


def compiling(command: F) -> F:
    """The options of ``tracing``, and those that decide the form."""
    return _with(command, (*_OPTIONS, *_IMPORT_OPTIONS, *_FORM_OPTIONS))


def _with(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
