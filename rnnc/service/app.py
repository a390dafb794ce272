"""The application: fronts and replicas as deployments of Ray Serve, here or on a cluster."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation, RequestRouterConfig
from ray.serve.schema import LoggingConfig

from rnnc.errors import RnncError
from rnnc.service.front import Front
from rnnc.service.replica import Replica
from rnnc.service.router import Pinned
from rnnc.serving import StreamPool

NAME = "rnnc"
#: Files of at most so many bytes are sent to the replicas; of larger ones only the path is.
SENT = 64 << 20


@dataclass(frozen=True)
class Service:
    """What is served, and how: ``pool`` has what :class:`rnnc.StreamPool` takes, ``max_streams`` too."""

    file: str
    name: str
    pool: Mapping[str, Any]
    replicas: int = 1
    fronts: int = 1
    host: str = "127.0.0.1"
    port: int = 8000
    max_message: int = 8 << 20
    address: str | None = None
    cpus: float = 1.0


def checked(service: Service) -> dict[str, Any]:
    """The file's manifest; an error for what is wrong with it or the port, before anything is started."""
    with StreamPool(service.file, **service.pool) as pool:
        manifest = pool.manifest
    try:
        with socket.create_server((service.host, service.port)):
            return manifest
    except OSError as error:
        told = f"{service.host}:{service.port} cannot be listened on: {error.strerror or error}"
        raise RnncError(told, hint="Choose another with --host and --port.") from None


def application(service: Service, manifest: Mapping[str, Any]) -> Any:
    """The deployments, bound to each other."""
    path = Path(service.file).resolve()
    external = any(path.parent.glob(f"{path.stem}-*.data"))
    source = str(path) if external or path.stat().st_size > SENT else path.read_bytes()
    replicas = serve.deployment(
        Replica,
        name="replica",
        num_replicas=service.replicas,
        max_ongoing_requests=10_000,
        ray_actor_options={"num_cpus": service.cpus},
        request_router_config=RequestRouterConfig(request_router_class=Pinned),
        health_check_period_s=2,
        graceful_shutdown_timeout_s=2,
    ).bind(source, dict(service.pool))
    fronts = serve.deployment(
        Front,
        name="front",
        num_replicas=service.fronts,
        max_ongoing_requests=10_000,
        ray_actor_options={"num_cpus": service.cpus},
        graceful_shutdown_timeout_s=2,
    )
    return fronts.bind(replicas, service.name, dict(manifest), service.max_message, service.fronts > 1)


def start(service: Service) -> None:
    """Start Ray, or join the cluster at ``address``, and serve until :func:`stop`."""
    manifest = checked(service)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unasked
    if service.address is None:
        needed = math.ceil(service.cpus * (service.replicas + service.fronts))
        ray.init(
            num_cpus=max(needed, os.cpu_count() or 1),  # all of them fit, and share what there is
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address="127.0.0.1",
        )
    else:
        ray.init(address=service.address, log_to_driver=False)
    serve.start(
        proxy_location=ProxyLocation.EveryNode,
        http_options=HTTPOptions(host=service.host, port=service.port),
    )
    quiet = LoggingConfig(log_level="WARNING", enable_access_log=False)
    serve.run(application(service, manifest), name=NAME, route_prefix="/", logging_config=quiet)


def stop() -> None:
    """End what :func:`start` started."""
    serve.shutdown()
    ray.shutdown()


def run(service: Service, tell: Callable[[str], None]) -> None:
    """Serve until the process is interrupted or told to end."""
    ended = threading.Event()
    try:
        start(service)
        for number in (signal.SIGINT, signal.SIGTERM):  # after Ray has set its own
            signal.signal(number, lambda *_: ended.set())
        tell(f"http://{service.host}:{service.port}/v2/models/{service.name}")
        ended.wait()
    finally:
        if ray.is_initialized():
            stop()
