"""The plot: best peer ÷ rnnc, a row for each cell and a mark for each size; left of 1, rnnc loses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rnnc.errors import MissingExtra
from tools.bench.matrix import FLOOR
from tools.bench.results import Result

#: A colour for each width, and a mark for each form and batch.
COLOURS = {16: "#7fb3d5", 128: "#2471a3", 512: "#1b2631"}
MARKS = {("sequence", 1): "o", ("sequence", 16): "s", ("step", 1): "|"}


def plot(results: Sequence[Result], paths: Sequence[Path]) -> None:
    """Draw the results of one processor into files, of the kinds that their names say."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("the plot needs matplotlib", hint='pip install "rnnc[bench]"') from error
    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    shown = [r for r in results if r.ratio is not None and r.entry.cpus == 1 and r.entry.cell != FLOOR]
    cells = list(dict.fromkeys(r.entry.cell for r in shown))
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.22 * len(cells)), layout="constrained")
    labels: dict[str, object] = {}
    for r in shown:
        e = r.entry
        label = f"{e.form}, H={e.H}, B={e.B}"
        labels[label] = axes.scatter(
            r.ratio,
            cells.index(e.cell),
            s=26,
            marker=MARKS.get((e.form, e.B), "x"),
            color=COLOURS.get(e.H, "#943126"),
        )
    axes.axvline(1, color="#c0392b", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(cells)), cells, fontsize=8)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xlabel("best peer ÷ rnnc, one processor (above 1, rnnc is faster)")
    axes.grid(axis="x", which="both", linewidth=0.3)
    if labels:
        names = sorted(labels)
        figure.legend([labels[n] for n in names], names, loc="outside lower center", ncols=3, fontsize=7)
    for path in paths:
        figure.savefig(path, dpi=150)
    pyplot.close(figure)
