"""Steps: what a pipeline did to a graph, one pass a step, as a page shows it.

A step says what it changes in the scene before: ``set`` (records by key), ``gone`` (keys), ``frames`` (all of
them, where any changed). Its ``marks`` are the keys that the pass ``added``, ``replaced`` and ``erased``, and
its ``edits`` the pass's own records [verb, value, rule], the rule left out where it is the pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnnc.ir import Edit, Graph
from rnnc.ops import OPS
from rnnc.pipeline import Pipeline
from rnnc.remarks import Remark
from rnnc.steps import rule, steps
from rnnc.view.scene import Record, Scene, scene
from rnnc.view.sources import Sources


def steps_of(graph: Graph, pipeline: Pipeline) -> dict[str, Any]:
    """What a page shows of a graph and of every pass of a pipeline run on it."""
    sources = Sources()
    last = scene(graph, sources)
    found = [step("as written", Scene(), last)]
    notes: list[dict[str, Any]] = []
    ops = {record["op"] for record in last.nodes.values()}
    rules: set[str] = set()
    for done in steps(pipeline, graph):
        now = scene(done.after, sources) if done.changed else last
        notes += [_note(remark, len(found), sources) for remark in done.remarks]
        found.append(step(str(done.by), last, now, done.after.edits, done.by.name))
        ops |= {record["op"] for record in now.nodes.values()}
        rules |= {e.by for e in done.after.edits}
        last = now
    return {
        "steps": found,
        "remarks": notes,
        "places": sources.places(),
        "sources": sources.lines(),
        "ops": {op: OPS[op].doc.partition("\n")[0].replace("``", "") for op in sorted(ops) if op in OPS},
        "rules": {by: text for by in sorted(rules) if (text := rule(by))},
    }


def step(
    name: str, before: Scene, after: Scene, edits: Sequence[Edit] | None = None, by: str = ""
) -> dict[str, Any]:
    """The step from one scene to the next."""
    found: dict[str, Any] = {"name": name}
    if before is after:
        return found
    found["set"] = {key: r for key, r in after.nodes.items() if before.nodes.get(key) != r}
    found["gone"] = [key for key in before.nodes if key not in after.nodes]
    if before.frames != after.frames:
        found["frames"] = after.frames
    if edits is not None:
        found["edits"] = [[e.verb, e.value, *([e.by] if e.by != by else [])] for e in edits]
        found["marks"] = _marks(before, after, edits)
    return found


def _marks(before: Scene, after: Scene, edits: Sequence[Edit]) -> dict[str, list[str]]:
    """The values that edits changed, those inside regions by their own keys."""
    edited = {after.inner.get(e.value, e.value) for e in edits if e.verb == "replace"}
    both = [key for key in after.nodes if key in before.nodes]
    return {
        "added": [key for key in after.nodes if key not in before.nodes],
        "replaced": [k for k in both if k in edited or _differ(before.nodes[k], after.nodes[k])],
        "erased": [key for key in before.nodes if key not in after.nodes],
    }


def _differ(before: Record, after: Record) -> bool:
    return any(before.get(part) != after.get(part) for part in ("op", "type", "attrs"))


def _note(remark: Remark, number: int, sources: Sources) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": remark.kind,
        "where": remark.where,
        "message": remark.message,
        "step": number,
    }
    if remark.loc:
        found["at"] = sources(remark.loc)
    if remark.details:
        found["details"] = list(remark.details)
    return found
