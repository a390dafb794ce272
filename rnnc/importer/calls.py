"""Calls: a node of an ONNX graph as it is read, and the rules for reading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onnx import NodeProto, TensorProto, TypeProto, numpy_helper

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.errors import FileError
from rnnc.importer.items import NOTHING, Array, Item, Nothing, sizes_of
from rnnc.importer.protos import Dims, first_line, shown
from rnnc.types import TensorType

if TYPE_CHECKING:
    from rnnc.importer.reader import Reader

#: The oldest opset whose nodes are read as they are.
OLDEST = 17


@dataclass(frozen=True, eq=False)
class Context:
    """What holds for all of a model that is read: its opsets, the types it states, the weights it needs.

    ``found`` are the names of sizes that only what is in a tensor tells, as how many elements are not zero.
    """

    opsets: Mapping[str, int]
    types: Mapping[str, TypeProto] = field(default_factory=dict)
    dims: Dims = field(default_factory=Dims)
    weights: dict[str, Array] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)

    @property
    def opset(self) -> int:
        """The opset of the standard domain that nodes are read in."""
        return max(self.opsets.get("", OLDEST), OLDEST)


@dataclass(frozen=True, eq=False)
class Call:
    """A node as rules see it: what it reads, and its attributes with ONNX's defaults."""

    reader: Reader
    node: NodeProto
    domain: str
    inputs: tuple[Item, ...]
    attrs: Mapping[str, Any]

    @property
    def build(self) -> Builder:
        """Adds values to the graph, with the place that the node comes from."""
        return self.reader.builder

    @property
    def shown(self) -> str:
        """The node, in a sentence."""
        return shown(self.node)

    def item(self, k: int) -> Item:
        """The input ``k``, or :data:`NOTHING`."""
        return self.inputs[k] if k < len(self.inputs) else NOTHING

    def has(self, k: int) -> bool:
        """Whether the input ``k`` is given."""
        return not isinstance(self.item(k), Nothing)

    def value(self, k: int) -> str:
        """The input ``k`` as a value of the graph."""
        return self.reader.value(self.item(k))

    def type(self, k: int) -> TensorType:
        """The type of the input ``k``."""
        return self.reader.type(self.item(k))

    def sizes(self, k: int) -> tuple[Dim, ...] | None:
        """The input ``k`` as sizes, if it is known."""
        return sizes_of(self.item(k))


#: How a node is read: its results, or ``None`` if the rule is not for this one.
Rule = Callable[[Call], Sequence[Item] | None]
RULES: dict[tuple[str, str], list[Rule]] = {}


def rule(*op_types: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Declare how nodes of those types are read."""

    def declare(function: Rule) -> Rule:
        for op_type in op_types:
            RULES.setdefault((domain, op_type), []).append(function)
        return function

    return declare


def array_of(tensor: TensorProto) -> Array:
    """The elements of an ONNX tensor."""
    try:
        array: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, LookupError, OverflowError, RuntimeError, OSError) as error:
        raise FileError(f"the weight {tensor.name!r} cannot be read: {first_line(error)}") from None
    array.flags.writeable = False
    return array
