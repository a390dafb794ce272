"""The peers: the ways to run a cell's equations, a library a file, and how each is made ready to be timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, ClassVar

from rnnc.errors import MissingExtra
from rnnc.ir import Array
from tools.bench.matrix import Entry
from tools.bench.subject import Subject


@dataclass(frozen=True)
class Ready:
    """A subject made ready by a peer.

    ``call`` runs the sequence, or one step more of a stream, to its end and not further; ``answer`` gives
    what comes out over all steps, to be compared. ``told`` is what the peer says about what it made, and
    ``facts`` are noted with its times.
    """

    call: Callable[[], Any]
    answer: Callable[[], list[Array]]
    told: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Peer(ABC):
    """A way to run cells. ``needs`` are the libraries that it imports, when it is asked for something."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    #: Whether it takes part unless others are asked for.
    usual: ClassVar[bool] = True

    def running(self) -> AbstractContextManager[Any]:
        """What is entered while the peer runs."""
        return nullcontext()

    def meant_for(self, entry: Entry) -> bool:
        """Whether the entry is one that the peer is to be measured at."""
        return True

    @abstractmethod
    def ready(self, subject: Subject) -> Ready:
        """The subject, ready to run; ``Unsupported`` if it is not of the peer's kind."""

    @property
    def missing(self) -> list[str]:
        """Those of its libraries that are not installed."""
        return [library for library in self.needs if not find_spec(library)]


def every() -> dict[str, Peer]:
    """Every peer by its name; rnnc, to which the others are compared, comes first."""
    from tools.bench.peers.jax import JaxAssociative, JaxScan
    from tools.bench.peers.onnxruntime import NaiveOnnx
    from tools.bench.peers.openvino import OpenVino
    from tools.bench.peers.rnnc import Rnnc
    from tools.bench.peers.torch import TorchCompiled, TorchEager
    from tools.bench.peers.torch_export import TorchExport
    from tools.bench.peers.torch_nn import TorchNN

    peers: list[Peer] = [
        Rnnc(), TorchEager(), TorchCompiled(), TorchNN(), TorchExport(), JaxScan(), JaxAssociative(),
        NaiveOnnx(), OpenVino(),
    ]  # fmt: skip
    return {peer.name: peer for peer in peers}


def chosen(asked: Iterable[str]) -> list[Peer]:
    """The peers of these names, rnnc always; ``installed`` are all whose libraries are, without names the
    usual ones.

    :class:`MissingExtra` if one is asked for that cannot run here.
    """
    known, names = every(), list(asked)
    if names == ["installed"]:
        return [p for p in known.values() if p.usual and not p.missing]
    found = [p for n, p in known.items() if (p.usual if not names else n in names) or n == "rnnc"]
    lacking = sorted({library for peer in found for library in peer.missing})
    if lacking:
        raise MissingExtra(
            f"the benchmark compares with {', '.join(lacking)}, not installed here",
            hint='pip install "rnnc[bench]", or compare with what is there: --peers installed',
        )
    return found
