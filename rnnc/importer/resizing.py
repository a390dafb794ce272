"""The rule for ``Resize``: to sizes, told as how many times as large, which holds for any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from rnnc.importer.calls import Call, rule
from rnnc.importer.items import Item, Known
from rnnc.importer.kept import keep


@rule("Resize")
def resize(call: Call) -> Sequence[Item] | None:
    """Where every size is a multiple, or such a part, that a float32 holds exactly, scales say the same."""
    wanted, have = call.sizes(3) if call.has(3) else None, call.type(0).shape
    if wanted is None or len(wanted) != len(have) or call.attrs.get("axes"):
        return None
    scales = []
    for new, old in zip(wanted, have, strict=True):
        if new == old:
            scales.append(1.0)
            continue
        if not isinstance(new, int) or not isinstance(old, int) or not old:
            return None
        scale = float(np.float32(new / old))
        if scale * old != new:
            return None
        scales.append(scale)
    node = NodeProto()
    node.CopyFrom(call.node)
    name = f"{node.output[0]}/scales"
    node.input[:] = [node.input[0], node.input[1] if len(node.input) > 1 else "", name]
    call.reader.items[name] = scaled = Known(np.array(scales, np.float32))
    return keep(replace(call, node=node, inputs=(call.item(0), call.item(1), scaled)))
