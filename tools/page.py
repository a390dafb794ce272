"""The page of ``models/browser`` as a folder that any web server can serve: the page, its runtime, its model.

npm ci --prefix models/browser
python -m tools.page
python -m http.server --bind 127.0.0.1 --directory build/browser
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import rnnc
from models.char import model

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "models" / "browser"
RUNTIME = SOURCE / "node_modules" / "onnxruntime-web" / "dist"

PAGE = ("index.html", "style.css", "page.js", "stream.js", "writing.js")
#: onnxruntime-web for the CPU: a module, and what it runs.
RUNNING = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def build(folder: Path) -> None:
    """Fill ``folder`` with all that the page takes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGE:
        shutil.copyfile(SOURCE / name, folder / name)
    for name in RUNNING:
        shutil.copyfile(RUNTIME / name, folder / name)
    rnnc.compile(model, "step").save(folder / "char.onnx")


def main() -> int:
    """Build the page; 1 if its runtime is not installed."""
    folder = ROOT / "build" / "browser"
    if not RUNTIME.is_dir():
        print("onnxruntime-web is not installed: run npm ci --prefix models/browser", file=sys.stderr)
        return 1
    build(folder)
    size = sum(f.stat().st_size for f in folder.iterdir())
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    print(f"{shown}: {size / 1e6:.1f} MB. Serve it, and open http://127.0.0.1:8000 :")
    print(f"  python3 -m http.server --bind 127.0.0.1 --directory {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
