"""The service: a pool of streams behind HTTP and WebSockets, as deployments of Ray Serve.

Clients speak the Open Inference Protocol (KServe v2) to a *front*, which keeps no state. A *replica* has a
pool, and the streams in it. The front knows which replica has which stream, and sends what it has for one
replica as one call. Only :mod:`rnnc.service.app`, ``front``, ``replica`` and ``router`` import ray.
"""
