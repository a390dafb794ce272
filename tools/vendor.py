"""Fetches what rnnc/view/page/vendor holds: Graphviz as WebAssembly, of one version, checked by hash.

    python -m tools.vendor            writes the files
    python -m tools.vendor --check    says whether they are what would be written

It needs npm, whose package is an ES module; its export becomes a global, since a page's worker has no address
to import from.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE, VERSION = "@hpcc-js/wasm-graphviz", "1.29.2"
INTEGRITY = "AkArBAZERT5OxH52/+kvCHB07cZ6ZNd9GnOvjw+S880bR88D6i27XfK6xj4dBhUDxNA2QPPMdgEcky3x4TJ3KA=="
FOLDER = Path(__file__).resolve().parent.parent / "rnnc" / "view" / "page" / "vendor"

_EXPORT = re.compile(r"export\{[^}]*?([\w$]+) as Graphviz\b[^}]*\};?\s*")
_MAP = re.compile(r"//# sourceMappingURL=\S+\s*$")


def fetched() -> dict[str, str]:
    """The files by name, from the package that npm has."""
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            ["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"], cwd=folder, check=True, capture_output=True
        )
        archive = Path(folder, ran.stdout.decode().split()[-1])
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != INTEGRITY:
            sys.exit(f"{PACKAGE} {VERSION} has the hash {digest}, and not {INTEGRITY}")
        with tarfile.open(archive) as tar:
            code, terms = (_text(tar, name) for name in ("package/dist/index.js", "package/LICENSE"))
    code, count = _EXPORT.subn(r"globalThis.Graphviz=\1;", _MAP.sub("", code))
    if count != 1 or "</script" in code or "<!--" in code:
        sys.exit(f"{PACKAGE} {VERSION} is not of the form that a page can hold")
    notice = (
        f"graphviz.js is {PACKAGE} {VERSION}, under the Apache License 2.0 (graphviz.LICENSE). It has"
        "\nGraphviz in it, compiled to WebAssembly, under the Eclipse Public License 2.0, with sources at"
        "\nhttps://gitlab.com/graphviz/graphviz. Written by python -m tools.vendor.\n"
    )
    head = f"/*! {PACKAGE} {VERSION}, Apache-2.0; Graphviz, EPL-2.0 */\n"
    return {"graphviz.js": head + code.rstrip() + "\n", "graphviz.LICENSE": terms, "NOTICE": notice}


def _text(tar: tarfile.TarFile, name: str) -> str:
    found = tar.extractfile(name)
    assert found is not None
    return found.read().decode().replace("\r\n", "\n")


def main() -> None:
    """Write the files, or check them."""
    files = fetched()
    if "--check" in sys.argv[1:]:
        wrong = [
            n
            for n, text in files.items()
            if (FOLDER / n).read_bytes().replace(b"\r\n", b"\n") != text.encode()
        ]
        sys.exit(f"not as fetched: {', '.join(wrong)}" if wrong else None)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"{FOLDER / name}: {len(text):,} characters")


if __name__ == "__main__":
    main()
