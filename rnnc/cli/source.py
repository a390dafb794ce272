"""SRC: a Python file or module or a .jl file, and what to take from it.

    model.py                its `model`, or the only layer that it has
    model.py:lstm           that name
    model.py:LSTM(30, 15)   that expression, evaluated among the module's names
    package.module:lstm     likewise, of an importable module
    model.jl:LSTM(30, 15)   likewise, in the notation of the first Flux; a .jl file is never run

A module is run to find it. What goes wrong inside is told with the line that it went wrong on.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import rnnc
from rnnc.errors import FileError, FormError, Loc, RnncError, SourceError
from rnnc.frontend.layers import Layer, Unrolled
from rnnc.frontend.nets import Net

#: The name that SRC is taken to mean when it gives none.
DEFAULT = "model"

_RNNC = str(Path(rnnc.__file__).resolve().parent)
_CELLS = str(Path(_RNNC, "cells"))


def load(src: str) -> Layer | Unrolled:
    """The model that SRC names."""
    where, _, expression = src.partition(":")
    if where.endswith(".onnx"):
        raise FileError(f"{where} is compiled, and has no names inside", hint="Give the file alone.")
    if where.endswith(".jl"):
        defined = rnnc.from_flux(where)
        name = expression.strip() or (DEFAULT if DEFAULT in defined else _only(defined.made(), where))
        return _layer(defined(name), where, name)
    with told(where):
        module = _from_file(Path(where)) if where.endswith(".py") else _imported(where)
    name = expression.strip() or (DEFAULT if hasattr(module, DEFAULT) else _only(vars(module), where))
    return _layer(_evaluate(module, where, name), where, name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileError(f"there is no file {path}", hint="SRC is a Python file or a module, then :NAME.")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # where Python, too, looks first when it runs a file
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _imported(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        if e.name is None or not f"{name}.".startswith(f"{e.name}."):
            raise
        raise FileError(f"there is no module {e.name}", hint="A file is named with its .py.") from None
    except (ValueError, TypeError) as e:
        if name and not name.startswith("."):  # then it is the module's own
            raise
        raise FileError(f"{name!r} is not the name of a module") from e


def _only(found: Mapping[str, Any], where: str) -> str:
    """The name that the only layer of SRC goes by, among all its names."""
    named = {n: v for n, v in found.items() if isinstance(v, Layer | Unrolled) and n[:1] != "_"}
    names = [name for name, value in named.items() if not _open_sizes(value)]
    if len(names) == 1:
        return names[0]
    if not names:
        usage = next((_example(name, _open_sizes(net)) for name, net in named.items()), "")
        hint = f'Its nets need sizes, as in "{where}:{usage}".' if usage else ""
        raise FileError(f"{where} has no layer at its top level", hint=hint)
    raise FileError(
        f"{where} has {len(names)} layers and no {DEFAULT}", hint=f"Add one of :{', :'.join(names)}"
    )


def _open_sizes(found: object) -> tuple[str, ...]:
    """The sizes that a net leaves open; none of a layer."""
    return found.dims if isinstance(found, Net) else ()


def _example(net: str, sizes: tuple[str, ...]) -> str:
    """How a net is made a layer, with some numbers for its sizes."""
    return f"{net}({', '.join(str(8 + i) for i in range(len(sizes)))})"


def _evaluate(module: ModuleType, where: str, expression: str) -> Any:
    try:
        code = compile(expression, f"<{where}:{expression}>", "eval")
    except SyntaxError as e:
        raise FileError(f"{expression!r} is neither a name nor an expression: {e.msg}") from None
    for name in code.co_names[:1]:
        if name.isidentifier() and not hasattr(module, name):
            known = [n for n, v in vars(module).items() if isinstance(v, Layer | Unrolled) and n[:1] != "_"]
            raise FileError(f"{where} has no {name}", hint=f"It has {', '.join(known)}." if known else "")
    with told(where, inside=f"<{where}:{expression}>"):
        return eval(code, vars(module))


def _layer(found: Any, where: str, name: str) -> Layer | Unrolled:
    if sizes := _open_sizes(found):
        raise FormError(
            f"{name} of {where} is a net whose sizes {', '.join(sizes)} are still open",
            hint=f'Give numbers for them, as in "{where}:{_example(name, sizes)}".',
        )
    if isinstance(found, Layer | Unrolled):
        return found
    raise FileError(f"{name} of {where} is no layer, but a {type(found).__name__}")


@contextmanager
def told(where: str, inside: str = "") -> Iterator[None]:
    """An exception of the user's own code becomes an error on the line of theirs that it came from.

    Theirs is what is neither Python's nor rnnc's, or was written ``inside`` SRC itself. An exception out of
    rnnc's own code is a bug, and passes.
    """
    try:
        yield
    except (RnncError, KeyboardInterrupt):
        raise
    except SyntaxError as e:
        if e.filename and e.filename.startswith(_RNNC):
            raise
        loc = Loc(e.filename, e.lineno, max((e.offset or 1) - 1, 0)) if e.filename and e.lineno else None
        raise SourceError(f"this is not Python: {e.msg}", loc=loc) from e
    except (Exception, SystemExit) as e:
        loc = _theirs(e, inside)
        if loc is None:
            raise
        what = f"{type(e).__name__}: {e}" if str(e) else type(e).__name__
        raise SourceError(f"{where} raises {what}", loc=None if loc.file == inside else loc) from e


def _theirs(error: BaseException, inside: str) -> Loc | None:
    """The innermost place of the user's code, unless rnnc's own code is further in."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = frame.filename
        if file.startswith(_RNNC) and not file.startswith(_CELLS):
            return None
        if file == inside or (not file.startswith(("<", sys.prefix, sys.base_prefix)) and frame.lineno):
            return Loc(file, frame.lineno or 0, frame.colno or 0, frame.end_lineno or 0, frame.end_colno or 0)
    return None
