"""Stripping: a function of whole sequences as a stream graph, the inverse of lifting.

``strip(function, …)`` follows the axis of time from the inputs through every value. A value that has it
becomes what it is at one step, with the axis there still, as long as the frames of a step: one, unless a step
is a block of frames. So most ops stay what they are; what works along time needs the past, which becomes
delays, or cannot be streamed, which is refused with the value and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from rnnc.ir import Graph, State
from rnnc.stripping import convolving, frames, looping, pooling
from rnnc.stripping.strip import Stripping

__all__ = ["strip"]

#: The modules whose rules stripping uses.
RULES = (convolving, frames, looping, pooling)


def strip(
    function: Graph, times: Mapping[str, int], states: Mapping[str, State], outputs: Mapping[str, str]
) -> Graph:
    """The stream graph of a function whose inputs ``times`` have time, ``T`` steps of it, along those axes.

    ``states`` maps those of its inputs that are states before the run to what they are in the interface, and
    its ``finals`` the paths of these to their values after it; ``outputs`` maps names to values. Raises
    :class:`FormError` for what cannot be streamed, with the value and the reason.
    """
    return Stripping(function, times, states).run(outputs)
