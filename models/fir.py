"""Feed-forward nets with delays only: nothing is fed back, so they have states and no loop.

``bank`` splits a signal into octaves by finite impulse responses of 63 taps: y = Σₖ hₖ x[-k].
``tdnn`` is a time-delay network, every layer seeing a few of the steps before, with gaps.
Source: A. Waibel et al., "Phoneme recognition using time-delay neural networks" (1989).

    rnnc compile models/fir.py:bank -o bank.onnx
    rnnc compile models/fir.py:tdnn -o tdnn.onnx --form chunk
"""

import numpy as np

from rnnc import Chain, concat, glorot, net, relu, stream, zeros

TAPS, BANDS = 63, 8


def octaves(taps=TAPS, bands=BANDS):
    """Windowed band-pass responses ``[taps, bands]``, an octave each, the highest ending at half the rate."""
    k = np.arange(taps) - (taps - 1) / 2
    edges = 0.5 ** np.arange(bands + 1)[:, None]
    low = edges * np.sinc(edges * k)
    return ((low[:-1] - low[1:]) * np.hamming(taps)).T.astype(np.float32)


@net
def Bank(x=stream(1), *, h=zeros(TAPS, BANDS)):
    """y = Σₖ hₖ x[-k]"""
    y = sum(x[-k] @ h[k : k + 1] for k in range(TAPS))
    return y


def Delayed(*delays):
    """The net y = relu([x[-d₁], x[-d₂], …] W + b)."""

    @net
    def Delayed(x, *, W=glorot(f"{len(delays)}*in", "out"), b=zeros("out")):
        y = relu(concat(*(x[-d] for d in delays)) @ W + b)
        return y

    return Delayed


bank = Bank(h=octaves())

tdnn = Chain(
    Delayed(0, 1, 2)(16, 32),
    Delayed(0, 2, 4)(32, 32),
    Delayed(0, 3, 6)(32, 10))

model = bank
