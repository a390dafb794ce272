"""The suite catches bugs: each of these is put into a pass, a plan or the runtime, and must be noticed.

A bug is a plausible slip: an off-by-one, a sign, two things exchanged, a case left out. What has to notice it
are the project's own checks, on a small net: the reference machine before and after every pass, onnxruntime
against the reference machine, and a sequence in pieces against the same one whole. The same check must pass
without the bug, and fail with it because of numbers that differ, or because the verifier refuses the graph.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import rnnc
from rnnc.errors import VerifyError
from rnnc.text import parse
from tests.meaning import with_params
from tests.seeded import in_files, in_memories, in_passes
from tests.seeded.checks import Bug


@pytest.mark.parametrize("bug", [*in_passes.BUGS, *in_files.BUGS, *in_memories.BUGS], ids=str)
def test_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = with_params(parse(bug.net))
    bug.check(graph)
    monkeypatch.setattr(bug.owner, bug.name, bug.fault(getattr(bug.owner, bug.name)))
    with pytest.raises((AssertionError, VerifyError)) as caught:
        bug.check(graph)
    # An assert of rnnc's own is luck, not a check.
    by_luck = Path(caught.traceback[-1].path).is_relative_to(Path(rnnc.__file__).parent)
    assert isinstance(caught.value, VerifyError) or not by_luck
