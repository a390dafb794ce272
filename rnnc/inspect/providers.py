"""Providers: what onnxruntime would run each node on.

The CPU runs every op of ONNX and of onnxruntime's own domain; an op of another domain needs its library of
custom ops. CUDA runs the ops that onnxruntime's documentation lists kernels for (``kernels.json``), except
recurrent ops with ``clip`` or attributes that its kernels do not know, by the rules of the profile ``cuda``;
the rest falls back to the CPU. This is said from tables, op by op: no session is opened, element types are
not compared, and onnxruntime may also leave small computations of shapes on the CPU.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from rnnc.inspect.graphs import KNOWN, NATIVE, Body, Item
from rnnc.plans.profile import builtin

#: How the answer is known.
HOW = "by tables, op by op; no session was opened"

#: What profiles call the attributes of recurrent ops that decide, where ONNX calls them otherwise.
ALPHAS = {"alphas": "activation_alpha", "betas": "activation_beta"}

#: As many nodes that run elsewhere are listed one by one.
LISTED = 1000


@dataclass(frozen=True)
class Elsewhere:
    """A node that the provider asked for does not run: what does, and why; ``none known`` for custom ops."""

    node: str
    op: str
    provider: str
    why: str


@dataclass(frozen=True)
class Provider:
    """A provider: how many nodes it runs and how many not, the first of these, and how it is known."""

    name: str
    nodes: int
    elsewhere_nodes: int
    elsewhere: tuple[Elsewhere, ...]
    how: str = HOW


def providers(body: Body) -> tuple[Provider, ...]:
    """For the CPU and for CUDA, where each node runs, those inside others included."""
    nodes = [(item, b) for item, b in body.everything() if not item.free]
    return (_provider("CPU", nodes), _provider("CUDA", nodes))


def _provider(name: str, nodes: list[tuple[Item, Body]]) -> Provider:
    known: Counter[bool] = Counter()
    listed: list[Elsewhere] = []
    for item, _ in nodes:
        none = _nowhere(item)
        why = none or (_off_cuda(item) if name == "CUDA" else "")
        known[not why] += 1
        if why and len(listed) < LISTED:
            listed.append(Elsewhere(item.name, item.op, "none known" if none else "CPU", why))
    return Provider(name, known[True], known[False], tuple(listed))


def _nowhere(item: Item) -> str:
    """Why no provider of onnxruntime's own runs a node; "" if one does."""
    if item.node.domain not in KNOWN:
        return f"{item.node.domain} is a domain of custom ops"
    if item.op in NATIVE and item.attributes.get("layout"):
        return "no kernel has layout = 1"
    return ""


def _off_cuda(item: Item) -> str:
    """Why CUDA does not run a node; "" if it does."""
    domain = str(item.node.domain)
    if item.node.op_type not in _kernels().get("" if domain == "ai.onnx" else domain, ()):
        return "no CUDA kernel is listed"
    if item.op not in NATIVE:
        return ""
    attrs = _attributes(item)
    foreign = "clip" if "clip" in attrs else builtin("cuda").foreign(item.op.lower(), attrs)
    return f"CUDA's kernel does not do {foreign}" if foreign else ""


def _attributes(item: Item) -> dict[str, Any]:
    """A recurrent op's attributes as profiles call them."""
    given = item.attributes
    plain = {name: value for name, value in given.items() if not isinstance(value, list)}
    plain |= {name: bool(given.get(name)) for name in ("linear_before_reset", "input_forget")}
    plain["activations"] = tuple(a.decode(errors="replace") for a in given.get("activations", ()))
    plain |= {name: tuple(given.get(theirs, ())) for name, theirs in ALPHAS.items()}
    plain["peepholes"] = bool(item.input(7))
    return plain


@cache
def _kernels() -> Mapping[str, frozenset[str]]:
    """The ops that CUDA has kernels for, by domain."""
    table = json.loads((files("rnnc.inspect") / "kernels.json").read_text(encoding="utf-8"))
    return {domain: frozenset(ops.split()) for domain, ops in table["cuda"].items()}
