"""The benchmark's machinery, on cells small enough to wait for. No time is asserted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from rnnc.errors import MissingExtra
from tools.bench import __main__ as command
from tools.bench import became, cells, linear, machine, measure, table, timing
from tools.bench.matrix import FLOOR, QUICK, Entry, quick, whole
from tools.bench.measure import measured
from tools.bench.peers import chosen, every
from tools.bench.results import Result, Results
from tools.bench.subject import Subject
from tools.bench.timing import Times, in_turns

#: JAX warns of every process that is started once it is imported; those started here only run git or Python.
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

TINY = Entry("LSTM", 4, 2, T=6)
WHERE = {"machine": "here", "versions": {"python": "3"}, "commit": "abc"}


def peer(name: str):
    found = every()[name]
    for library in found.needs:
        pytest.importorskip(library)
    return found


def result(entry: Entry = TINY, ratio: float = 2.0, **where: str) -> Result:
    runs: dict[str, dict[str, object]] = {
        "rnnc": {"us": 60.0, "error": 0.0, "told": "LSTM"},
        "torch": {"us": 60 * ratio, "ratio": ratio},
        "jax": {"failed": "no reason"},
    }
    return Result(entry, {**WHERE, **where}, ("rnnc", "torch"), runs)


# -- what is measured ---------------------------------------------------------------------------------------


def test_the_matrix_names_every_cell_and_size_once() -> None:
    known = list(cells.recurrent_cells())
    entries = list(whole(known))
    assert len(entries) == len(set(entries)) == 1 + 12 * len(known)
    assert {e.cell for e in entries} == {*known, FLOOR}
    assert set(QUICK) <= set(known)
    assert len(QUICK) == 10
    assert set(quick(QUICK)) <= set(entries)


def test_a_subject_has_no_weight_that_could_be_dropped() -> None:
    subject = Subject.of(TINY)
    params = subject.layer.params
    assert all(params[path].any() for path in params.keys() - {"y", "state"})
    assert not params["y"].any()
    assert np.array_equal(params["bf"], Subject.of(TINY).layer.params["bf"])


# -- peers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["sequence", "step"])
@pytest.mark.parametrize("cell", ["LSTM", "DilatedRecurrent", "GatedRecurrentAfter", "IndRNN", FLOOR])
@pytest.mark.parametrize("name", ["rnnc", "onnxruntime", "torch", "torch.nn", "jax", "openvino"])
def test_a_peer_computes_the_cell(name, cell, form) -> None:
    found = peer(name)
    runs = measured(Entry(cell, 4, 2, form, T=6), [every()["rnnc"], found], 0)
    assert "failed" not in runs["rnnc"]
    if name in runs:
        assert runs[name]["error"] < 1e-5
        assert runs[name]["us"] > 0
    else:
        assert name == "torch.nn"


def test_a_delayed_input_is_part_of_the_one_loop() -> None:
    runs = measured(Entry("TGRU", 4, 2, T=6), [every()["rnnc"], every()["onnxruntime"]], 0)
    assert "failed" not in runs["onnxruntime"]


def test_linear_loops_are_associated() -> None:
    found = peer("jax.associative")
    runs = measured(Entry("minGRU", 4, 2, T=6), [every()["rnnc"], found], 0)
    assert runs["jax.associative"]["error"] < 1e-5
    assert list(measured(TINY, [every()["rnnc"], found], 0)) == ["rnnc"]


@pytest.mark.torch
def test_recorded_calls_are_those_of_a_cell_written_by_hand() -> None:
    pytest.importorskip("torch")
    from tools.bench.peers.torch import sequence

    run = sequence(Subject.of(TINY))
    lines = run.__globals__["cell2"].__doc__.splitlines()
    calls = [re.sub(r"[a-z]\d+", "_", line.partition("= ")[2].partition("(")[0]) for line in lines[1:-1]]
    gates = ["addmm", "split", "tanh", "sigmoid", "split"]
    assert calls == [*gates, "_ * _", "_ * _", "_ + _", "tanh", "_ * _"]


def test_a_peer_that_fails_is_not_timed(monkeypatch) -> None:
    broken, wrong = every()["onnxruntime"], every()["rnnc"]
    monkeypatch.setattr(type(broken), "ready", lambda self, subject: 1 / 0)
    runs = measured(TINY, [wrong, broken], 0)
    assert runs["onnxruntime"] == {"failed": "ZeroDivisionError: division by zero"}
    assert "ratio" not in runs["rnnc"]


def test_a_wrong_answer_is_not_timed(monkeypatch) -> None:
    found = every()["onnxruntime"]
    honest = type(found).ready

    def lies(self, subject):
        ready = honest(self, subject)
        return replace(ready, answer=lambda: [y + 0.01 for y in ready.answer()])

    monkeypatch.setattr(type(found), "ready", lies)
    runs = measured(TINY, [every()["rnnc"], found], 0)
    assert "differs" in runs["onnxruntime"]["failed"]
    assert "us" not in runs["onnxruntime"]


def test_what_takes_too_long_is_skipped_and_listed(monkeypatch) -> None:
    monkeypatch.setattr(measure, "LONGEST", 1e-9)
    monkeypatch.setattr(Subject, "expected", property(lambda subject: pytest.fail("computed for nothing")))
    runs = measured(TINY, [every()["rnnc"]], 0)
    assert list(runs) == ["rnnc"] and "a call would take about" in runs["rnnc"]["skipped"]
    (line,) = dict(table.sections([replace(result(), runs=runs)]))["Skipped"]
    assert line.startswith("LSTM, sequence, H=4, B=2: a call would take about")


def test_a_large_convolution_is_what_takes_too_long() -> None:
    calls = {e: measure.predicted(Subject.of(e)) for e in (Entry("NAS", 512, 16), Entry("ConvLSTM", 512, 16))}
    assert [seconds > measure.LONGEST for seconds in calls.values()] == [False, True]


def test_missing_libraries_are_told(monkeypatch) -> None:
    monkeypatch.setattr("tools.bench.peers.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="jax, onnxscript, openvino, torch"):
        chosen([])
    assert [p.name for p in chosen(["installed"])] == ["rnnc", "onnxruntime"]
    assert [p.name for p in chosen(["onnxruntime"])] == ["rnnc", "onnxruntime"]


# -- timing -------------------------------------------------------------------------------------------------


def test_turns_are_taken() -> None:
    order: list[str] = []
    times = in_turns({name: partial(order.append, name) for name in "abc"}, 0)
    assert times.keys() == set("abc")
    assert all(len(t.samples) >= timing.FEWEST for t in times.values())
    assert {order[0], order[-1]} <= set("abc")


def test_what_is_far_behind_takes_part_in_few_rounds() -> None:
    waits = {"rnnc": 2e-3, "near": 2e-3, "far": 2e-2}
    times = in_turns({name: partial(time.sleep, s) for name, s in waits.items()}, 60)
    assert len(times["far"].samples) == timing.FEWEST
    assert len(times["near"].samples) == len(times["rnnc"].samples) >= timing.FEWEST
    assert times["far"].over(times["rnnc"])[1] > timing.FAR


def test_rounds_end_when_ratios_are_known() -> None:
    steady, noisy = [1.0] * 5, [1.0, 2.0, 1.0, 3.0, 1.5]
    assert timing._known({"rnnc": steady, "a": steady}, ["rnnc", "a"])
    assert not timing._known({"rnnc": steady, "a": noisy}, ["rnnc", "a"])
    assert timing._known({"rnnc": steady, "a": noisy}, ["rnnc"])


def test_ratios_are_those_within_a_round() -> None:
    slow, fast = Times([2.0, 4.0, 20.0]), Times([1.0, 2.0, 10.0])
    assert slow.over(fast) == (2.0, 2.0, 2.0)
    assert slow.median == 4.0


# -- results ------------------------------------------------------------------------------------------------


def test_results_are_resumed(tmp_path) -> None:
    results = Results(tmp_path / "deep" / "results.jsonl")
    other = replace(TINY, H=8)
    assert results.missing([TINY, other], WHERE, ("rnnc",)) == [TINY, other]
    results.add(result())
    assert results.missing([TINY, other], WHERE, ("rnnc",)) == [other]
    assert results.missing([TINY, other], WHERE, ("rnnc", "jax")) == [TINY, other]
    assert results.missing([TINY], {**WHERE, "commit": "def"}, ("rnnc",)) == [TINY]
    assert results.all() == [result()]


def test_a_line_cut_off_is_measured_again(tmp_path) -> None:
    results = Results(tmp_path / "results.jsonl")
    results.add(result())
    whole_line = results.path.read_text()
    results.path.write_text(whole_line + whole_line[:40])
    assert results.all() == [result()]
    results.add(result(replace(TINY, B=1)))
    assert results.path.read_text().startswith(whole_line)
    assert len(results.all()) == 2


def test_the_latest_result_counts(tmp_path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for found in (result(ratio=2), result(ratio=3), result(ratio=4, commit="def")):
        results.add(found)
    assert [r.ratio for r in results.latest()] == [4]
    assert [r.ratio for r in results.latest(WHERE)] == [3]


# -- tables and the plot ------------------------------------------------------------------------------------


def some_results() -> list[Result]:
    floor = Result(Entry(FLOOR, 16, 1, "step"), WHERE, ("rnnc",), {"rnnc": {"us": 4.0, "told": "1 nodes"}})
    died = Result(replace(TINY, H=8), WHERE, ("rnnc",), {"rnnc": {"failed": "the worker died of signal 11"}})
    return [result(), result(replace(TINY, B=1), 0.5), floor, died]


def test_the_page_tells_plainly_where_rnnc_loses() -> None:
    found = table.ordered(some_results())
    assert [r.entry.B for r in found if r.entry.H == 4] == [1, 2]
    page = table.markdown(found)
    assert "LSTM, sequence, H=4, B=1: torch takes 0.50 times as long as rnnc (LSTM, 10 µs a step)" in page
    assert "all: best peer ÷ rnnc has the geometric mean 1.00 over 2 entries, least 0.50; 1 below 1" in page
    assert "a call that does next to nothing: rnnc 4 µs" in page
    assert "LSTM, sequence, H=8, B=2: rnnc: the worker died of signal 11" in page
    assert "| LSTM | sequence | 4 | 1 | 1 | 10 | LSTM | 0.50 | torch | 0.50 | failed |" in page


def test_the_plot_is_drawn(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    from tools.bench.plot import plot

    paths = [tmp_path / "plot.png", tmp_path / "plot.svg"]
    plot(some_results(), paths)
    assert all(path.stat().st_size > 1000 for path in paths)


def test_a_loss_is_told_with_what_bounds_it() -> None:
    for cell, bound in (("RHN", "nodes"), ("LSTM", "ONNX's LSTM")):
        entry = Entry(cell, 16, 1)
        ready = every()["rnnc"].ready(Subject.of(entry))
        runs = {"rnnc": {"us": 100.0, "told": ready.told, **ready.facts}, "jax": {"us": 50.0, "ratio": 0.5}}
        (line,) = table.losses([Result(entry, WHERE, ("rnnc", "jax"), json.loads(json.dumps(runs)))])
        assert bound in line.partition("most of it is")[2]
        assert "100 measured" in line


@pytest.mark.parametrize(
    ("cell", "kind"), [("PeepholeLSTM", "native"), ("minGRU", "linear"), ("NAS", "loop"), ("LSTM", "native")]
)
def test_the_class_of_a_cell_is_that_of_the_plans_that_fit(cell: str, kind: str) -> None:
    facts = every()["rnnc"].ready(Subject.of(Entry(cell, 8, 2))).facts
    assert facts["class"] == kind


def test_work_is_counted_in_rounds_and_rows() -> None:
    facts = every()["rnnc"].ready(Subject.of(Entry("RHN", 8, 2))).facts["work"]
    inside, outside = facts["products"]
    assert facts["rounds"] == inside[0] == 100
    assert inside[1] == 2
    assert outside[:2] == (1, 200)
    assert [became.rounds(s, 100) for s in ("T", "32", "every8_T", "every8_every8_T")] == [100, 32, 13, 2]


def test_linear_plans_are_compared_with_the_scan() -> None:
    row = linear.measured("gated", 64, 1, 2, 0.01)
    assert row.us.keys() >= {"scan", "linear-chunks"}
    assert not row.wrong
    slow = replace(row, T=1000, us={"scan": 2.0, "linear-chunks": 1.0}, chosen="linear-chunks")
    assert slow.verdict == "less than 3.00"
    assert replace(slow, H=512).verdict == ""
    assert list(linear.summary([slow]))[-1] == "1 of 1 sizes have less than is asked"


# -- the command --------------------------------------------------------------------------------------------


def test_where_is_known_by_machine_versions_and_sources() -> None:
    assert machine.where().keys() == {"machine", "versions", "commit"}
    assert "onnxruntime" in machine.versions()


def test_the_command_measures_and_resumes(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr("tools.bench.matrix.quick", lambda cells: [Entry(c, 4, 1, T=6) for c in cells])
    monkeypatch.setattr("tools.bench.machine.where", lambda: WHERE)
    arguments = ["--quick", "--cells", "Recurrent", "--peers", "onnxruntime", "--out", str(tmp_path)]
    assert command.main([*arguments, "--seconds", "0.01"]) == 0
    told = capfd.readouterr().out
    assert "1 entries to measure on 1 CPU" in told
    assert "Recurrent, sequence, H=4, B=1: rnnc" in told
    assert (tmp_path / "table.md").read_text().startswith("# The benchmark")
    assert command.main(arguments) == 0
    assert "to measure" not in capfd.readouterr().out
    page = tmp_path / "RESULTS.md"
    assert command.main(["--report", "--out", str(tmp_path), "--page", str(page)]) == 0
    assert page.read_text() == (tmp_path / "table.md").read_text()


def test_where_a_worker_dies_the_next_goes_on(tmp_path, monkeypatch) -> None:
    jobs: list[list[str]] = []

    def run(arguments, *, input, **rest):
        jobs.append([entry["cell"] for entry in json.loads(input)["entries"]])
        for entry in jobs[-1] if len(jobs) > 1 else []:
            results.add(result(replace(TINY, cell=entry)))
        return subprocess.CompletedProcess(arguments, 0 if len(jobs) > 1 else -11)

    monkeypatch.setattr(subprocess, "run", run)
    results = Results(tmp_path / "results.jsonl")
    entries = [replace(TINY, cell=cell) for cell in ("A", "B", "C")]
    command.measure(entries, 1, ("rnnc",), 0, results, WHERE)
    assert jobs == [["A", "B", "C"], ["B", "C"]]
    assert results.all()[0].runs["rnnc"]["failed"] == "the worker died of signal 11"


def test_what_is_not_there_is_refused_in_a_sentence(tmp_path, capsys) -> None:
    assert command.main(["--cells", "LSTN", "--out", str(tmp_path)]) == 1
    assert "there is no cell LSTN" in capsys.readouterr().err
    assert command.main(["--report", "--out", str(tmp_path)]) == 1
    assert "there are no results" in capsys.readouterr().err
    assert command.main(["--list"]) == 0
    assert "LSTM" in capsys.readouterr().out


def test_a_worker_imports_nothing_before_it_is_pinned() -> None:
    libraries = "{'numpy', 'onnx', 'onnxruntime', 'torch'}"
    script = f"import sys, tools.bench.worker; print(*{libraries} & sys.modules.keys())"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=machine.ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []
