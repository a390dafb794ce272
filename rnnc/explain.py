"""Explanations: what was done to a model on its way to a file, what was not, and why, in order.

models/seed.py:37:9: passed: lstm: can run as one ONNX LSTM
models/seed.py:37:9: missed: gru: not an ONNX GRU: the loop has 2 states, not 1
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rnnc.compiler import Compiled
from rnnc.errors import shown_path
from rnnc.plans.decisions import Decision
from rnnc.remarks import Remark
from rnnc.steps import Step, steps


class Explanation:
    """The passes that made a file, run again and watched; ``remarks`` are those of passes and plans.

    A pass that remarked nothing is summed up by its edits.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.steps: list[Step] = steps(compiled.pipeline, compiled.source)
        self.remarks: list[Remark] = list(self._merged())

    def _merged(self) -> Iterator[Remark]:
        # The file's own remarks know more than those of the run again, such as times that were measured.
        own = iter(self.compiled.remarks)
        for step in self.steps:
            summary = step.summary()
            if summary is not None and not step.remarks:
                yield summary
            yield from (next(own, again) for again in step.remarks)
        yield from own

    def json(self, each: bool = False) -> str:
        """The explanation for other programs: its remarks, and with ``each`` the passes with their edits.

        A remark has ``kind``, ``pass``, ``message``, ``file``, ``line``, ``column`` and ``details``; a choice
        among plans also ``candidates``, ``chosen`` and ``steps``. A pass has ``pass``, ``edits``, ``graph``.
        """
        found: dict[str, Any] = {
            "schema": 1,
            "model": self.compiled.source.name,
            "form": self.compiled.form.name,
            "pipeline": str(self.compiled.pipeline),
            "remarks": [_remark(r) for r in self.remarks],
        }
        if each:
            found["passes"] = [step.json() for step in self.steps if step.changed]
        return json.dumps(found, indent=2, ensure_ascii=False)


def _remark(remark: Remark) -> dict[str, Any]:
    loc = remark.loc
    found: dict[str, Any] = {
        "kind": remark.kind,
        "pass": remark.where,
        "message": remark.message,
        "file": shown_path(loc.file) if loc else None,
        "line": loc.line if loc else None,
        "column": loc.col + 1 if loc else None,
        "details": list(remark.details),
    }
    if isinstance(remark, Decision):
        candidates = [asdict(c) for c in remark.candidates]
        found |= {"candidates": candidates, "chosen": remark.chosen, "steps": remark.steps}
    return found
