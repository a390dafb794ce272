"""Editing the bodies of regions: a body is a frozen graph, and an edited copy takes its place.

    for region in graph.find("region"):
        edit_body(graph, region, simplify)

After the edit the region is made as small as its body allows. What a region gives has a fixed type while
other ways to compute it are attached (its ``alternatives``): its outputs and states then stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops import regions
from rnnc.rewrite import sweep


def edit_body(graph: Graph, region: str, change: Callable[[Graph], None]) -> str:
    """Apply ``change`` to a copy of the body of ``region``, shrink the region, and return its name.

    The region shrinks by results that nothing uses, states that serve no result, inputs that the body does
    not read, several inputs that read one value, and constants of one element, which move into the body. If
    there is nothing to change, the region and its body stay the objects that they are.
    """
    before: Graph = graph[region].attrs["body"]
    roles = regions.operands(graph, region)
    body = before.copy()
    inputs = regions.outer_inputs(graph, region)
    inits = dict(zip((s.path for s in before.interface.states), roles.inits, strict=True))
    with body.editing(graph.by):
        change(body)
        if not roles.alternatives:
            _drop_results(body, *_results_used(graph, region, before))
        _drop_inputs(graph, body, inputs)
    if not body.edits and body.interface is before.interface:
        return region
    face = body.interface
    extra = [roles.lengths] if roles.lengths else []
    new = graph.add(
        "region",
        *(inputs[i.name] for i in face.inputs),
        *(inits[s.path] for s in face.states),
        *extra,
        *roles.alternatives,
        type=regions.region_type(body, graph[region].attrs["steps"]),
        like=region,
        **{**graph[region].attrs, "body": body.freeze()},
    )
    graph.record(body, new)
    return _replace(graph, region, new, before, body)


def shrink(graph: Graph, region: str) -> str:
    """Make ``region`` as small as its body allows, and return its name."""
    return edit_body(graph, region, sweep)


def result_names(body: Graph) -> list[tuple[str, str]]:
    """What each item of a region with that body is: ``("output", name)`` or ``("final", path)``."""
    outputs = [("output", o.name) for o in body.interface.outputs]
    return outputs + [("final", s.path) for s in body.interface.states]


def _results_used(graph: Graph, region: str, body: Graph) -> tuple[set[str], set[str]]:
    """The outputs and the final states that something outside takes from the region."""
    results = result_names(body)
    users = graph.nx.succ[region]
    if any(graph[user].op != "item" for user in users):
        taken = results
    else:
        roots = graph.roots()
        taken = [results[graph[u].attrs["k"]] for u in users if graph.nx.succ[u] or u in roots]
    return {n for role, n in taken if role == "output"}, {n for role, n in taken if role == "final"}


def _drop_results(body: Graph, outputs: set[str], finals: set[str]) -> None:
    """Keep the named results, and the states that they need: a state that is read must be carried on."""
    kept = set(finals)
    while True:
        needed = _below(body, [*(body.outputs[n] for n in outputs), *(body.finals[p] for p in kept)])
        read = {s.path for s in body.interface.states if s.source in needed} - kept
        if not read:
            break
        kept |= read
    gone = [s.source for s in body.interface.states if s.path not in kept]
    if gone or len(outputs) < len(body.outputs):
        body.outputs = {n: v for n, v in body.outputs.items() if n in outputs}
        body.finals = {p: v for p, v in body.finals.items() if p in kept}
        body.interface = replace(
            body.interface,
            outputs=tuple(o for o in body.interface.outputs if o.name in outputs),
            states=tuple(s for s in body.interface.states if s.path in kept),
        )
    sweep(body)
    for source in gone:
        body.erase(source)


def _drop_inputs(graph: Graph, body: Graph, operands: dict[str, str]) -> None:
    """Keep the inputs that the body reads, one for each value outside."""
    first: dict[tuple[str, str], str] = {}
    kept = []
    for i in body.interface.inputs:
        outside = graph[operands[i.name]]
        same = first.setdefault((i.kind, operands[i.name]), i.name)
        if same != i.name:
            body.replace(i.name, same)
        elif i.kind == "given" and outside.op == "const" and outside.attrs["value"].size == 1:
            value = outside.attrs["value"]
            body.replace(i.name, Builder(body, i.name).const(value))
        if body.nx.succ[i.name] or i.name in body.roots():
            kept.append(i)
        else:
            body.erase(i.name)
    if len(kept) < len(body.interface.inputs):
        body.interface = replace(body.interface, inputs=tuple(kept))


def _below(graph: Graph, values: list[str]) -> set[str]:
    """``values`` and all they are computed from."""
    seen: set[str] = set()
    waiting = list(values)
    while waiting:
        v = waiting.pop()
        if v not in seen:
            seen.add(v)
            waiting += graph.nx.pred[v]
    return seen


def _replace(graph: Graph, old: str, new: str, before: Graph, body: Graph) -> str:
    """Put the region ``new`` in the place of ``old``, whose results have other places."""
    places = {result: k for k, result in enumerate(result_names(body))}
    was = result_names(before)
    if list(places) == was:
        return graph.replace(old, new)
    build = Builder(graph)
    for user in [u for u, _ in graph.uses(old)]:
        k = places.get(was[graph[user].attrs["k"]])
        if k is None:
            graph.erase(user)
        else:
            graph.replace(user, build("item", new, k=k))
    return graph.replace(old, new)
