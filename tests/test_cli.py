"""The command line: what each command does, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

import rnnc
from rnnc.cli import cli

ROOT = Path(__file__).resolve().parent.parent

MODEL = """\
from rnnc import *
from rnnc.cells import LSTM, Affine, Recurrent

@net
def Leaky(x, *, W=glorot("in", "out"), y=zeros("out")):
    y = tanh(x @ W + 0.5 * y[-1])
    return y

leaky = Leaky(3, 4)
model = Chain(leaky, Affine(4, 2))
difference = net(lambda x: x - x[-1])
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a model file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def call(*args: str) -> Result:
    """Run a command in this process; anything that would be a traceback fails the test."""
    result = CliRunner().invoke(cli, list(args))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def good(*args: str) -> str:
    """What a command prints that succeeds."""
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def bad(*args: str, status: int = 1) -> str:
    """What a command says that fails, the files it found being the files it left."""
    before = listing()
    result = call(*args)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert listing() == before
    return result.stderr


def listing() -> dict[str, bytes]:
    """Every file below the working directory."""
    return {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file() and "__pycache__" not in p.parts}


# -- commands ---------------------------------------------------------------------------------------------


def test_help_teaches():
    assert "rnnc compile models/seed.py:chain -o chain.onnx" in good("--help")
    for command in ("compile", "show", "explain", "inspect", "run", "check"):
        text = good(command, "--help")
        assert f"rnnc {command} " in text.partition("Options")[0].partition("\n\n")[2], "an example"


def test_compile_run_check(here):
    for form in ("sequence", "chunk", "step"):
        said = good("compile", "model.py", "-o", f"{form}.onnx", "--form", form)
        assert f"{form}.onnx: {form} form" in said
        x = np.random.default_rng(0).uniform(-1, 1, (8, 2, 3)).astype(np.float32)
        np.save("x.npy", x)
        good("run", f"{form}.onnx", "--input", "x.npy", "-o", "y.npy")
        whole = np.load("y.npy")
        assert whole.shape == (8, 2, 2)
        if form != "sequence":
            good("run", f"{form}.onnx", "--input", "x=x.npy", "-o", "y=z.npy", "--chunk", "3")
            assert np.abs(np.load("z.npy") - whole).max() <= 1e-6
        assert "failed" not in good("check", f"{form}.onnx", "--against", "model.py")
    assert "ok" in good("check", "step.onnx", "--against", "chunk.onnx")


def test_check_finds_other_weights(here):
    good("compile", "model.py", "-o", "a.onnx")
    result = call("check", "a.onnx", "--against", "model.py", "--seed", "1")
    assert result.exit_code == 1
    assert "failed" in result.stdout


def test_check_knows_what_onnx_reference_leaves_out(here):
    """It runs every LSTM with its default activations."""
    good("compile", "rnnc.cells.zoo:JANET(3, 4)", "-o", "janet.onnx")
    found = good("check", "janet.onnx", "--against", "rnnc.cells.zoo:JANET(3, 4)")
    assert "onnx.reference leaves out the activations of LSTM" in found
    assert "against    ok" in found


def test_run_a_file_of_someone_else(here):
    good("compile", "model.py", "-o", "a.onnx")
    model = onnx.load("a.onnx")
    del model.metadata_props[:]
    onnx.save(model, "b.onnx")
    np.save("x.npy", np.ones((4, 2, 3), np.float32))
    for name in "ab":
        good("run", f"{name}.onnx", "-i", "x.npy", "-o", f"{name}.npy")
    assert np.array_equal(np.load("a.npy"), np.load("b.npy"))


def test_run_unrolled_and_final(here):
    np.save("x.npy", np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32))
    Path("end.py").write_text(MODEL + "model = Chain(leaky, last)\n")
    good("compile", "model.py:model[:1]", "-o", "u.onnx", "--form", "unroll", "--steps", "2")
    good("compile", "end.py", "-o", "e.onnx", "--form", "chunk")
    good("run", "u.onnx", "-i", "x.npy", "-o", "u.npy")
    good("run", "e.onnx", "-i", "x.npy", "-o", "e.npy", "--chunk", "4")
    assert np.abs(np.load("u.npy")[-1] - np.load("e.npy")).max() <= 1e-6


def test_unroll(here):
    said = good("compile", "model.py", "-o", "u.onnx", "--form", "unroll", "--steps", "4", "--separate")
    assert "unroll form" in said
    assert "failed" not in good("check", "u.onnx", "--against", "model.py")


def test_src_is_an_expression(here):
    good("compile", "model.py:LSTM(3, 4)", "-o", "a.onnx")
    good("compile", "rnnc.cells:LSTM(3,4)", "-o", "b.onnx")
    good("compile", "model.py:model[0]", "-o", "c.onnx")
    good("compile", "model.py:difference", "-o", "d.onnx", "--shape", "x=3")


def test_weights(here):
    layer = rnnc.cells.Affine(3, 2)
    np.savez("w.npz", W=np.full((3, 2), 2, np.float32), b=np.ones(2, np.float32))
    layer.load("w.npz")
    good("compile", "model.py:Affine(3, 2)", "-o", "a.onnx", "--weights", "w.npz")
    np.save("x.npy", np.ones((1, 1, 3), np.float32))
    good("run", "a.onnx", "-i", "x.npy", "-o", "y.npy")
    assert np.load("y.npy").tolist() == [[[7, 7]]]


def test_show(here):
    text = good("show", "model.py:leaky")
    assert text.startswith("net Leaky(stream x: f32[B, 3]")
    assert "delay(" in text
    assert good("show", "model.py:leaky", "-p", "step").startswith("function Leaky(")
    each = good("show", "model.py:leaky", "-p", "canonicalize,lift", "--each")
    assert each.startswith("// before\nnet")
    assert "// after lift" in each


def test_show_reads_graph_text(here):
    Path("g.rnnc").write_text(good("show", "model.py:leaky"))
    assert good("show", "g.rnnc") == good("show", "model.py:leaky")


def test_inspect(here):
    good("compile", "model.py", "-o", "a.onnx", "--form", "chunk")
    text = good("inspect", "a.onnx")
    assert "chunk, opset 17" in text
    assert "0.y_in" not in text
    found = json.loads(good("inspect", "a.onnx", "--json"))
    assert found["form"] == "chunk"
    assert [s["path"] for s in found["states"]] == ["0.y"]
    assert found["loops"][0]["states"] == ["0.y"]
    assert found["weights"]
    direct = json.loads(good("inspect", "model.py", "--form", "chunk", "--json"))
    assert [r["values"] for r in direct["recurrences"]] == [["0.y"]]
    assert {**direct, "name": "", "recurrences": []} == {**found, "name": ""}


@pytest.mark.slow
def test_as_a_process(here):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "rnnc"]
    done = subprocess.run(
        [*command, "show", "model.py:leaky"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        [*command, "show", "model.py:nothing"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: model.py has no nothing\n")
    done = subprocess.run([*command, "show"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    with subprocess.Popen(
        [*command, "show", "model.py:leaky"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"", "whoever reads may stop reading"


# -- what can go wrong ------------------------------------------------------------------------------------


def test_no_such_source(here):
    assert "there is no file gone.py" in bad("compile", "gone.py", "-o", "a.onnx")
    assert "there is no module gone" in bad("show", "gone:model")
    said = bad("compile", "model.py:modle", "-o", "a.onnx")
    assert said.startswith("error: model.py has no modle\n")
    assert "leaky" in said
    assert "is no layer, but a int" in bad("show", "model.py:1+1")
    assert "neither a name nor an expression" in bad("show", "model.py:LSTM(")
    assert "a.onnx cannot be read: No such file" in bad("compile", "a.onnx", "-o", "b.onnx")
    assert "a.onnx is compiled, and has no names" in bad("compile", "a.onnx:lstm", "-o", "b.onnx")
    assert "'.' is not the name of a module" in bad("show", ".")
    assert "'' is not the name of a module" in bad("show", ":model")


def test_open_sizes(here):
    said = bad("compile", "model.py:Leaky", "-o", "a.onnx")
    assert "sizes in, out are still open" in said
    assert "model.py:Leaky(8, 9)" in said


def test_which_layer(here):
    Path("two.py").write_text("from rnnc.cells import Affine\na = Affine(1, 2)\nb = Affine(2, 3)\n")
    assert ":a, :b" in bad("show", "two.py")
    Path("none.py").write_text("x = 1\n")
    assert "has no layer" in bad("show", "none.py")
    Path("open.py").write_text("from rnnc.cells import Affine\n")
    assert 'as in "open.py:Affine(8, 9)"' in bad("show", "open.py")
    Path("open.py").write_text("from rnnc.cells import Affine\nmodel = Affine\n")
    assert "sizes in, out are still open" in bad("show", "open.py")


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("import rnnc\n\nx = 1 / 0\n", "exp.py:3:5", "exp.py raises ZeroDivisionError: division by zero"),
        ("def f():\n    raise ValueError('so')\nf()\n", "exp.py:2:5", "exp.py raises ValueError: so"),
        ("import nothing_of_that_name\n", "exp.py:1:1", "No module named 'nothing_of_that_name'"),
        ("x = = 1\n", "exp.py:1:5", "this is not Python: invalid syntax"),
        ("import sys\nsys.exit(0)\n", "exp.py:2:1", "exp.py raises SystemExit: 0"),
        ("import numpy as np\nnp.zeros(3).reshape(2)\n", "exp.py:2:1", "cannot reshape"),
    ],
)
def test_source_that_fails(here, source, line, said):
    Path("exp.py").write_text(source)
    stderr = bad("compile", "exp.py", "-o", "a.onnx")
    assert stderr.startswith(f"{line}: error: ")
    assert said in stderr
    assert "^" in stderr


def test_body_that_fails(here):
    Path("exp.py").write_text(
        "from rnnc import *\n@net\ndef F(x=stream(3)):\n    return x.nothing\nmodel = F\n"
    )
    stderr = bad("compile", "exp.py", "-o", "a.onnx")
    assert stderr.startswith("exp.py:4:12: error: ")
    assert "nothing" in stderr


@pytest.mark.parametrize(
    ("body", "column", "said"),
    [
        ("y2 = tanh(x + y[-1])", 19, "y[-1] is read, but y is never assigned"),
        ("y = tanh(x @ W[0] + y[-1])", 18, "use a slice"),
        ("y = tanh(x + y)", 14, "read"),
        ("y = y[-1] + y[1] + x", 17, "looks ahead in a cycle"),
        ("y = x @ W", 9, "4"),
        ("y = x if x > 0 else y[-1]", 14, "where("),
    ],
)
def test_language_errors(here, body, column, said):
    Path("bad.py").write_text(
        "from rnnc import *\n"
        "@net\n"
        "def F(x=stream(3), *, W=glorot(4, 3), y=zeros(3)):\n"
        f"    {body}\n"
        "    return x\n"
        "model = F\n"
    )
    stderr = bad("compile", "bad.py", "-o", "a.onnx")
    assert stderr.startswith(f"bad.py:4:{column}: error: ")
    assert said in stderr
    assert "^" in stderr


def test_cycle_without_delay(here):
    Path("g.rnnc").write_text(
        "net f(stream x: f32[B, 3]) -> (y) {\n  y: f32[B, 3] = add(x, z)\n  z: f32[B, 3] = tanh(y)\n}\n"
    )
    assert "cycle" in bad("show", "g.rnnc", "-p", "canonicalize") or "z" in bad("show", "g.rnnc")


def test_chain_that_does_not_fit(here):
    Path("c.py").write_text(
        "from rnnc import *\nfrom rnnc.cells import Affine\nmodel = Chain(Affine(3, 4), Affine(5, 2))\n"
    )
    stderr = bad("compile", "c.py", "-o", "a.onnx")
    assert "4" in stderr
    assert "5" in stderr
    assert stderr.startswith("c.py:3:")


def test_bad_weights(here):
    a = np.zeros((3, 4), np.float32)
    cases: dict[str, dict[str, np.ndarray]] = {
        "unknown": {"W": a, "V": a},
        "missing": {},
        "shape": {"W": a.T},
        "dtype": {"W": a.astype(np.complex64)},
    }
    for name, arrays in cases.items():
        np.savez(f"{name}.npz", **arrays)  # type: ignore[arg-type]
        said = bad("compile", "model.py:leaky", "-o", "a.onnx", "--weights", f"{name}.npz")
        assert said.count("error:") == 1
        assert f"{name}.npz" in said
    whole = Path("unknown.npz").read_bytes()
    Path("cut.npz").write_bytes(whole[: len(whole) // 2])
    Path("foreign.npz").write_text("not an archive")
    Path("cut.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{")
    Path("w.txt").write_text("")
    with open("array.npz", "wb") as stream:
        np.save(stream, a)
    for file in ("cut.npz", "foreign.npz", "cut.safetensors", "gone.npz", "array.npz", "w.txt"):
        assert file in bad("compile", "model.py:leaky", "-o", "a.onnx", "--weights", file)


@pytest.mark.parametrize("command", [["inspect"], ["check"], ["run", "-i", "x.npy", "-o", "y.npy"]])
def test_bad_onnx(here, command):
    np.save("x.npy", np.zeros((1, 1, 3), np.float32))
    good("compile", "model.py", "-o", "a.onnx")
    whole = Path("a.onnx").read_bytes()
    Path("cut.onnx").write_bytes(whole[: len(whole) // 2])
    Path("foreign.onnx").write_bytes(b"\x89PNG\r\n")
    Path("empty.onnx").write_bytes(b"")
    for file in ("cut.onnx", "foreign.onnx", "empty.onnx", "gone.onnx"):
        assert file in bad(command[0], file, *command[1:])


def test_bad_arrays(here):
    good("compile", "model.py", "-o", "a.onnx")
    Path("x.npy").write_text("not an array")
    assert "x.npy" in bad("run", "a.onnx", "-i", "x.npy", "-o", "y.npy")
    np.save("x.npy", np.zeros((2, 2, 5), np.float32))
    assert "axis 2 of x has 5" in bad("run", "a.onnx", "-i", "x.npy", "-o", "y.npy")
    np.save("x.npy", np.zeros((2, 2, 3)))
    assert "x is float64" in bad("run", "a.onnx", "-i", "x.npy", "-o", "y.npy")
    np.save("x.npy", np.zeros((2, 2, 3), np.float32))
    assert "takes its states" in bad("run", "a.onnx", "-i", "x.npy", "-o", "y.npy", "--chunk", "1")
    assert "cannot be written" in bad("run", "a.onnx", "-i", "x.npy", "-o", "gone/y.npy")
    assert "no input z" in bad("run", "a.onnx", "-i", "z=x.npy", "-o", "y.npy", status=2)
    assert "cannot be read" in bad("run", "a.onnx", "-i", "gone", "-o", "y.npy")
    np.save("x.npy", np.zeros((2, 0, 3), np.float32))
    assert "axis 1 of x has no sequences" in bad("run", "a.onnx", "-i", "x.npy", "-o", "y.npy")


def test_output_that_cannot_be_written(here):
    assert "gone/a.onnx cannot be written" in bad("compile", "model.py", "-o", "gone/a.onnx")
    Path("folder.onnx").mkdir()
    assert "folder.onnx cannot be written: it is a folder" in bad("compile", "model.py", "-o", "folder.onnx")
    os.mkfifo("pipe")
    assert "pipe cannot be written: it is no plain file" in bad("compile", "model.py", "-o", "pipe")
    assert Path("pipe").is_fifo()


def test_steps_that_make_no_sense(here):
    for steps, said in (("0", "at least one step"), ("-1", "at least one step"), ("10000000", "nodes")):
        assert said in bad("compile", "model.py", "-o", "a.onnx", "--form", "unroll", "--steps", steps)


def test_wrong_usage(here):
    assert "gives x twice" in bad("show", "model.py", "--shape", "x=3", "--shape", "x=4", status=2)
    assert "Missing option" in bad("compile", "model.py", status=2)
    assert "No such option" in bad("show", "model.py", "--wrong", status=2)
    assert "name=value" in bad("show", "model.py", "--shape", "3", status=2)
    assert "not a whole number" in bad("show", "model.py", "--shape", "x=a", status=2)


def test_pipelines_that_do_not_parse(here):
    assert "there is no pass canonicalise" in bad("show", "model.py", "-p", "canonicalise,step")
    assert "unroll has no option step" in bad("show", "model.py", "-p", "unroll{step=3}")
