"""The ORT format: onnxruntime's own, which its builds for phones and browsers read without a parser of ONNX.

A file is the model as onnxruntime would run it, optimised; metadata are kept, and so is the manifest. With it
comes the list of operators that it takes, for a build of onnxruntime that has no others.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnc.errors import FileError
from rnnc.runtime.sessions import failures, first_line, onnxruntime

#: How the names of such files end.
ORT = ".ort"


def convert(path: Path) -> tuple[bytes, str]:
    """An ``.onnx`` file in ORT format, and the operators that it takes, by onnxruntime's own tool.

    What of the optimisations would tie the model to this machine, the tool leaves out.
    """
    onnxruntime()
    from onnxruntime.tools import convert_onnx_models_to_ort as tool

    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
    if not path.is_file():
        raise FileError(f"there is no file {path}")
    with TemporaryDirectory() as name, redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files that it reads to be closed
        try:
            tool.convert_onnx_models_to_ort(path, Path(name), [tool.OptimizationStyle.Fixed])
        except failures() as error:
            raise FileError(f"onnxruntime cannot convert {path}: {first_line(error)}") from error
        (model,), (config,) = Path(name).glob(f"*{ORT}"), Path(name).glob("*.config")
        lines = config.read_text(encoding="utf-8").splitlines(keepends=True)
        return model.read_bytes(), "".join(line for line in lines if not line.startswith("#"))
