"""``rnnc serve``: a file as a service."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc.cli.terminal import console
from rnnc.errors import MissingExtra


@click.command()
@click.argument("file", metavar="FILE.onnx")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Where to listen."
)
@click.option("--name", help="What clients call the model; by default as the file is called.")
@click.option(
    "--replicas",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that run the file, each with streams of its own.",
)
@click.option(
    "--fronts",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that speak with clients.",
)
@click.option(
    "--max-streams", type=click.IntRange(1), default=1000, show_default=True, help="Streams of one replica."
)
@click.option(
    "--max-batch", type=click.IntRange(1), default=256, show_default=True, help="Streams that run at once."
)
@click.option(
    "--idle",
    type=click.FloatRange(0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds after which a stream that is not used ends.",
)
@click.option(
    "--max-message",
    type=click.IntRange(1, 15),
    default=8,
    show_default=True,
    metavar="MB",
    help="The longest request, in megabytes.",
)
@click.option("--refuse-nan", is_flag=True, help="Refuse frames that have NaN; else they are passed on.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Threads that one replica runs an op with; as many processors are asked of Ray.",
)
@click.option(
    "--address", metavar="ADDRESS", help="A Ray cluster to serve on, or auto; else one is started here."
)
def serve(
    file: str, host: str, port: int, name: str | None, replicas: int, fronts: int, max_streams: int,
    max_batch: int, idle: float, max_message: int, refuse_nan: bool, threads: int, address: str | None,
) -> None:  # fmt: skip
    """Serve the streams of a step or chunk file over HTTP and WebSockets, with Ray Serve.

    \b
      rnnc serve step.onnx
      rnnc serve step.onnx --replicas 4 --port 9000
      rnnc serve step.onnx --replicas 64 --address auto        on a Ray cluster

    Clients speak the Open Inference Protocol (KServe v2), and name their stream by sequence_id. It runs until
    it is interrupted. Needs the extra: pip install 'rnnc[serve]'.
    """
    try:
        from rnnc.service.app import Service, run
    except ImportError as error:
        raise MissingExtra(
            f"serving needs Ray Serve, and {error.name} is missing",
            hint="Install it: pip install 'rnnc[serve]'",
        ) from error

    pool = {
        "max_streams": max_streams,
        "max_batch": max_batch,
        "idle": idle,
        "refuse_nan": refuse_nan,
        "threads": threads,
    }
    model = name or Path(file).stem
    service = Service(
        file, model, pool, replicas, fronts, host, port, max_message << 20, address, cpus=threads
    )
    run(service, lambda url: console().print(f"serving {url}", markup=False))
