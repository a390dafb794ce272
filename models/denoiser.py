"""A speech denoiser of the shape of DTLN: two mask estimators of LSTMs of 128 units, at 257 frequency bins.

A step is one frame of 512 samples at 16 kHz, moved on by 128; the input is the magnitude of its spectrum, the
output the magnitude of the speech in it. The second estimator works on what the first has left.
Source: N. Westhausen and B. Meyer, "Dual-signal transformation LSTM network for real-time noise suppression"
(2020), here with both stages on the spectrum.

    rnnc compile models/denoiser.py -o denoiser.onnx --form step
"""

from rnnc import Chain, log, maximum, net, stream
from rnnc import sigmoid as σ
from rnnc.cells import LSTM, Affine, LayerNorm

BINS = 257


def estimator():
    """A mask between 0 and 1 for every bin."""
    return Chain(LayerNorm(BINS), LSTM(BINS, 128), LSTM(128, 128), Affine(128, BINS), σ)


@net
def Denoiser(noisy=stream(BINS), *, first=estimator(), second=estimator()):
    """rough = first(log noisy) ∘ noisy,  speech = second(log rough) ∘ rough"""
    rough = first(log(maximum(noisy, 1e-7))) * noisy
    speech = second(log(maximum(rough, 1e-7))) * rough
    return speech


model = Denoiser
