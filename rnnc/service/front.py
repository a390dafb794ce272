"""The front: HTTP and WebSockets, in the Open Inference Protocol."""

# Annotations are values here, since FastAPI reads those of routes. Ray copies the class as it is decorated,
# with what its methods use of the module: that stands above it.
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from ray import serve
from ray.serve.handle import DeploymentHandle

from rnnc.service.desk import Desk
from rnnc.service.protocol import Ask, Refusal, metadata, parse, too_large
from rnnc.service.sockets import Socket
from rnnc.serving.metrics import merged

app = FastAPI(title="rnnc", docs_url=None, redoc_url=None, openapi_url=None)

#: Where the header of a body with binary tensors ends, as the protocol says.
HEADER = "inference-header-content-length"


def _refused(refusal: Refusal, ask: Ask | None = None) -> Response:
    headers = {"retry-after": "1"} if refusal.status == 503 else None
    content = refusal.content(ask.id if ask else None)
    return Response(content, refusal.status, headers, media_type="application/json")


@app.exception_handler(Exception)
async def failed(request: Request, error: Exception) -> Response:
    """What a client is told where something failed that should not; Ray logs it."""
    return _refused(Refusal("INTERNAL", "the request failed"))


@serve.ingress(app)
class Front:
    """Answers clients; a request has at most ``most`` bytes."""

    def __init__(
        self,
        replicas: DeploymentHandle[Any],
        model: str,
        manifest: Mapping[str, Any],
        most: int,
        shared: bool,
    ) -> None:
        self._desk = Desk(replicas, model, manifest, shared)
        self._model, self._most, self._metadata = model, most, metadata(model, manifest)

    # HTTP

    @app.get("/v2")
    async def server(self) -> Any:
        """What the server is."""
        return {"name": "rnnc", "version": "2", "extensions": ["binary_tensor_data", "sequence", "stream"]}

    @app.get("/v2/health/live")
    async def live(self) -> Any:
        """That it runs."""
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready(self) -> Any:
        """Whether any replica answers."""
        found = bool(await self._desk.all("metrics"))
        return JSONResponse({"ready": found}, 200 if found else 503)

    @app.get("/v2/models/{name}")
    @app.get("/v2/models/{name}/versions/1")
    async def model(self, name: str) -> Any:
        """What the model takes and gives."""
        return self._no_model(name) or self._metadata

    @app.get("/v2/models/{name}/ready")
    @app.get("/v2/models/{name}/versions/1/ready")
    async def model_ready(self, name: str) -> Any:
        """Whether the model can be run."""
        return self._no_model(name) or await self.ready()

    @app.get("/metrics")
    async def metrics(self) -> Response:
        """What the pools of all replicas count, for Prometheus."""
        return Response(merged(dict(await self._desk.all("metrics"))), media_type="text/plain; version=0.0.4")

    @app.post("/v2/models/{name}/infer")
    @app.post("/v2/models/{name}/versions/1/infer")
    async def http(self, name: str, request: Request) -> Response:
        """One request."""
        if (missing := self._no_model(name)) is not None:
            return missing
        ask = Ask()
        try:
            length = request.headers.get(HEADER)
            if length is not None and not (length.isascii() and length.isdigit()):
                raise Refusal("MALFORMED", f"{HEADER} is no number")
            ask = parse(await self._body(request), None if length is None else int(length))
            header, tensors = await self._desk.infer(ask)
        except Refusal as refusal:
            return _refused(refusal, ask)
        if not tensors:
            return Response(header, media_type="application/json")
        told = {HEADER: str(len(header))}
        return Response(b"".join([header, *tensors]), 200, told, "application/octet-stream")

    async def _body(self, request: Request) -> bytes:
        """The body, read no further than it may be long."""
        told = request.headers.get("content-length", "0")
        parts, size = [], int(told) if told.isascii() and told.isdigit() else 0
        if size <= self._most:
            size = 0
            async for part in request.stream():
                parts.append(part)
                if (size := size + len(part)) > self._most:
                    break
        if size > self._most:
            raise too_large(self._most)
        return b"".join(parts)

    def _no_model(self, name: str) -> Response | None:
        if name == self._model:
            return None
        return _refused(
            Refusal("MODEL_UNKNOWN", f"there is no model {name:.60}", hint=f"It is {self._model}")
        )

    # WebSockets

    @app.websocket("/v2/models/{name}/stream")
    async def websocket(self, name: str, socket: WebSocket) -> None:
        """Requests and responses, one a message, for any number of streams."""
        await socket.accept()
        if name != self._model:
            await socket.send_text(
                Refusal("MODEL_UNKNOWN", f"there is no model {name:.60}").content().decode()
            )
            await socket.close(1008)
            return
        mine = Socket(self._desk, socket, self._most)
        self._desk.listeners.add(mine)
        try:
            await mine.serve()
        finally:
            self._desk.listeners.discard(mine)
            await self._desk.end(list(mine.started))
