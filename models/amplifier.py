"""A guitar amplifier as a recurrent net: what is learned is what the amplifier adds to its input.

One sample a step at 44.1 kHz: an LSTM of 24 units, mixed down, added to the dry signal.
Source: A. Wright, E.-P. Damskägg and V. Välimäki, "Real-time black-box modelling with recurrent neural
networks" (2019).

    rnnc compile models/amplifier.py -o amplifier.onnx --form step
"""

from rnnc import net, stream
from rnnc.cells import LSTM, Affine

SAMPLE_RATE = 44_100


@net
def Amplifier(x=stream(1), *, lstm=LSTM(1, 24), mix=Affine(24, 1)):
    """y = x + mix(lstm(x))"""
    y = x + mix(lstm(x))
    return y


model = Amplifier
