"""The text that the character model learns: Python's language reference, as every Python ships it.

``pydoc_data.topics`` maps names to pages. A page is held out where the SHA-1 of its name, in hexadecimal,
ends in a digit divisible by 8: in 0 or 8. The text differs a little from one Python to the next, so whoever
trains or scores records :func:`source`.

Some pages contain others whole. A paragraph of a page to learn that also stands in a held-out page is left
out, so that nothing held out has been seen.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from pydoc_data.topics import topics  # type: ignore[import-untyped, unused-ignore]

PAGES: Mapping[str, str] = topics


def held_out(name: str) -> bool:
    """Whether the page of that name is kept from training."""
    return int(hashlib.sha1(name.encode()).hexdigest()[-1], 16) % 8 == 0


def testing() -> bytes:
    """The held-out pages, in the order of their names."""
    return "\n\n".join(PAGES[name] for name in sorted(PAGES) if held_out(name)).encode()


def training() -> bytes:
    """The other pages, in the order of their names, without what they share with held-out ones."""
    kept = {p.strip() for name in PAGES if held_out(name) for p in PAGES[name].split("\n\n")}
    pages = (PAGES[name].split("\n\n") for name in sorted(PAGES) if not held_out(name))
    return "\n\n".join(p for page in pages for p in page if p.strip() not in kept).encode()


def source() -> dict[str, str]:
    """Which text this is: the Python it comes from and the SHA-256 of both parts."""
    return {
        "python": platform.python_version(),
        "training": hashlib.sha256(training()).hexdigest(),
        "testing": hashlib.sha256(testing()).hexdigest(),
    }
