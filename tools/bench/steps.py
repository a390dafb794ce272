"""Calls of one step, in turns: a push of a :class:`rnnc.Stream` beside what PyTorch offers for the same cell.

    taskset -c 0 python -m tools.bench.steps [--widths 16,64,128] [--seconds 1.0] [--cells LSTM,JANET]

A line for each cell and width, one sequence at a time: µs a push, and how many times as long others take.
``module`` is ``nn.LSTM`` and its like given a sequence of one step, ``cell`` is ``nn.LSTMCell`` and its like,
``by hand`` is the cell as the calls of PyTorch that it is. All are in inference mode and keep their states
from call to call. What answers wrongly is said and not timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from statistics import geometric_mean
from typing import Any

from tools.bench.machine import pin
from tools.bench.matrix import TOLERANCE, Entry
from tools.bench.timing import in_turns

CELLS = ("LSTM", "GatedRecurrentAfter", "Recurrent", "JANET", "minGRU")
WIDTHS = (16, 64, 128)
#: How many steps answers are compared over.
COMPARED = 20


def offers(subject: Any) -> Iterator[tuple[str, Any]]:
    """What can run a subject step by step, rnnc's first."""
    from tools.bench.handwritten import Unsupported
    from tools.bench.peers.rnnc import Rnnc
    from tools.bench.peers.torch import TorchEager
    from tools.bench.peers.torch_nn import TorchNN

    yield "rnnc", Rnnc().ready(subject)
    for name, make in (("module", TorchNN().ready), ("cell", cell_of), ("by hand", TorchEager().ready)):
        try:
            yield name, make(subject)
        except Unsupported:
            continue


def cell_of(subject: Any) -> Any:
    """``nn.LSTMCell``, ``nn.GRUCell`` or ``nn.RNNCell`` with the weights of a subject."""
    import torch

    from tools.bench.handwritten import Unsupported, carried
    from tools.bench.peers.torch_nn import MODULES, weights

    entry, params = subject.entry, subject.layer.params
    if entry.cell not in MODULES:
        raise Unsupported("torch.nn has no such cell")
    kind, fields = MODULES[entry.cell]
    module = getattr(torch.nn, f"{kind.upper()}Cell")(entry.H, entry.H)
    named = {name.removesuffix("_l0"): torch.tensor(x) for name, x in weights(kind, params).items()}
    module.load_state_dict(named)
    starts = tuple(torch.tensor(params[field]).expand(entry.B, -1).contiguous() for field in fields)

    def step(x: Any, *held: Any) -> Any:
        after = module(x, held if len(held) > 1 else held[0])
        after = after if len(held) > 1 else (after,)
        return after, after[:1]

    return carried(step, starts, subject, torch.tensor)


def measured(cell: str, width: int, seconds: float) -> dict[str, float]:
    """Seconds a call of rnnc, then how many times as long the others take; none for a wrong answer."""
    from tools.bench.peers.torch import serving
    from tools.bench.subject import Subject

    subject = Subject.of(Entry(cell, width, 1, "step", T=COMPARED))
    with serving():
        ready = dict(offers(subject))
        right = {name: it.call for name, it in ready.items() if subject.error(it.answer()) <= TOLERANCE}
        if "rnnc" not in right:
            return {}
        times = in_turns(right, seconds)
    ratios = {name: found.over(times["rnnc"])[1] for name, found in times.items() if name != "rnnc"}
    wrong = {name: float("nan") for name in ready if name not in right}
    return {"rnnc": times["rnnc"].median, **ratios, **wrong}


def main() -> None:
    """Measure, and print a line as each is known, then the means."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.steps", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cells", default=",".join(CELLS), help="which cells (%(default)s)")
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)), help="how wide (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each is timed (%(default)s)")
    given = parser.parse_args()
    pin(1)
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    others = ("module", "cell", "by hand")
    print(f"{'cell':22}{'H':>5}{'push, µs':>10}" + "".join(f"{name + ' ÷':>11}" for name in others))
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for cell in given.cells.split(","):
        for width in map(int, given.widths.split(",")):
            found = measured(cell, width, given.seconds)
            if not found:
                print(f"{cell:22}{width:5}  rnnc answers wrongly", flush=True)
                continue
            told = [f"{found[name]:11.2f}" if name in found else f"{'–':>11}" for name in others]
            print(f"{cell:22}{width:5}{found['rnnc'] * 1e6:10.2f}{''.join(told)}", flush=True)
            for name in others:
                if found.get(name, 0) > 0:
                    ratios[name].append(found[name])
    means = [f"{geometric_mean(ratios[name]):11.2f}" if ratios[name] else f"{'–':>11}" for name in others]
    print(f"{'geometric mean':37}{''.join(means)}")


if __name__ == "__main__":
    main()
