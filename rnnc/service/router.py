"""The router: a request that names its replica goes there, and any other to one that has little to do."""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica


class Pinned(RequestRouter):
    """Takes a request's session id for the replica that it is to go to.

    If that one is no more, another takes the request: it sees that it was not meant.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The one replica, or all."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        wanted = pending_request.metadata.session_id
        named = [r for r in candidate_replicas if r.replica_id.unique_id == wanted]
        return [named or candidate_replicas]
