"""The page: its files, put together with what it shows.

Nothing in it reaches the network, and only its own script runs, which its content security policy names by
hash: what it shows is data, in JSON, and put on the page as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

#: The scripts in order; they share one scope.
SCRIPTS = ("data", "layout", "camera", "draw", "pane", "search", "details", "main")
STYLES = ("theme", "page", "graph")
#: Graphviz, which lays the graph out.
ENGINE = "vendor/graphviz.js"

#: What may not stand inside a script element as it is; in JSON all of it is inside strings.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def page(title: str, data: Mapping[str, Any]) -> str:
    """The page that shows ``data``, which :mod:`rnnc.view.steps` or :mod:`rnnc.view.files` made."""
    scripts = "\n".join(_file(f"{name}.js") for name in SCRIPTS)
    code = f'(() => {{\n"use strict";\n{scripts}}})();\n'
    parts = {
        "title": html.escape(title),
        "policy": _policy(code),
        "styles": "".join(_file(f"{name}.css") for name in STYLES),
        "code": code,
        "engine": _file(ENGINE),
        "worker": _file("worker.js"),
        "data": json_text({"title": title, **data}),
    }
    text = _file("page.html")
    first, *rest = text.split("{{")
    return first + "".join(parts[name] + after for name, _, after in (r.partition("}}") for r in rest))


def json_text(data: Any) -> str:
    """JSON that can stand inside a script element, whatever strings it has."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPES)


def _policy(code: str) -> str:
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' blob: 'wasm-unsafe-eval'; worker-src blob:;"
        " style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _file(name: str) -> str:
    return (files("rnnc.view") / "page" / name).read_text(encoding="utf-8")
