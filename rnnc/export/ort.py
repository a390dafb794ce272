"""A file in ORT format, for the builds of onnxruntime that run on phones and in browsers.

    OUT.ort                             the model; ``rnnc.Stream`` and ``rnnc run`` take it as any other
    OUT.required_operators.config       for onnxruntime's build.py --minimal_build --include_ops_by_config

onnxruntime writes one of its tables in an order of its own, so that the bytes of a model differ from one
export to the next; what it computes does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnnc.aside import aside
from rnnc.check import Finding, compare
from rnnc.errors import FileError, RnncError
from rnnc.runtime.ort_format import ORT, convert


@dataclass(frozen=True)
class Export:
    """What was written, and how the results compare with those of the file that it was made of."""

    model: Path
    operators: Path
    finding: Finding


def export(path: str | Path, out: str | Path | None = None) -> Export:
    """Write ``path`` in ORT format to ``out``, or beside it, and compare the two on drawn inputs.

    A file that computes something else is an error, and is not left there.
    """
    path = Path(path)
    target = Path(out) if out is not None else path.with_suffix(ORT)
    if target.suffix != ORT:
        raise FileError(f"{target} does not end in {ORT}, by which onnxruntime knows the format")
    content, operators = convert(path)
    config = target.with_suffix(".required_operators.config")
    try:
        with aside(config) as list_, aside(target, suffix=ORT) as file:
            list_.write_text(f"# of {target.name}\n{operators}", encoding="utf-8")
            file.write_bytes(content)
            finding = compare(path, file)
            if finding.verdict == "failed":
                raise RnncError(f"{target} would not compute what {path} does: off by {finding.error}")
    except OSError as error:
        raise FileError(
            f"{target} cannot be written: {error.strerror or error}",
            hint="Choose a folder that exists and that you may write to.",
        ) from error
    return Export(target, config, finding)
