"""The command line: ``rnnc compile``, ``show``, ``inspect``, ``check`` and the others.

Exit status 0 is success, 1 a clear error, 2 wrong usage.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import click

from rnnc.cli.check import check
from rnnc.cli.compile import compile_
from rnnc.cli.explain import explain
from rnnc.cli.export import export
from rnnc.cli.inspect import inspect
from rnnc.cli.run import run
from rnnc.cli.serve import serve
from rnnc.cli.show import show
from rnnc.cli.terminal import Commands
from rnnc.cli.tune import tune
from rnnc.cli.view import view

__all__ = ["cli", "main"]


def _version() -> str:
    try:
        return version("rnnc")
    except PackageNotFoundError:
        return "from a checkout, not installed"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_version(), message="rnnc %(version)s")
def cli() -> None:
    """Compile recurrent models, written as equations, to plain .onnx files.

    SRC is a Python file or an importable module, with what to take from it after a colon: a name, or an
    expression such as LSTM(30, 15). Without one it is the module's `model`. SRC is run to find it. It may
    also be a .jl file in the notation of the first Flux, which is read, not run.

    \b
      rnnc compile models/seed.py:chain -o chain.onnx            a whole sequence a call
      rnnc compile rnnc.cells:"LSTM(30, 15)" -o lstm.onnx --form step
      rnnc compile models/recurrent.jl:"LSTM(30, 15)" -o lstm.onnx
      rnnc show    models/seed.py:chain                          the graph as text
      rnnc explain models/seed.py:chain                          what was done to it, and why
      rnnc inspect lstm.onnx                                     loops, states, weights, cost
      rnnc view    models/seed.py:lstm -o lstm.html              a page: the graph, pass by pass
      rnnc run     chain.onnx --input x.npy -o y.npy
      rnnc serve   lstm.onnx                                     over HTTP and WebSockets
      rnnc check   lstm.onnx --against rnnc.cells:"LSTM(30, 15)"
      rnnc export triton lstm.onnx -o models                     a Triton model repository
      rnnc tune    -o server.json                                 this machine, for compile --profile
    """


for command in (compile_, show, explain, inspect, view, run, serve, check, export, tune):
    cli.add_command(command)


def main() -> None:
    """Run the command line of this process."""
    cli(prog_name="rnnc")
