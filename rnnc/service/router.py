"""The router: a request that names its replica goes there, and any other to one at random."""

from __future__ import annotations

import random

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica


class Pinned(RequestRouter):
    """Takes a request's session id for the replica that it is to go to.

    If that one is no more, another takes the request: it sees that it was not meant.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The one replica, if that is named and there; else one at random, then all."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        wanted = pending_request.metadata.session_id
        named = [r for r in candidate_replicas if r.replica_id.unique_id == wanted]
        if named:
            return [named]
        return [random.sample(candidate_replicas, min(1, len(candidate_replicas))), candidate_replicas]
