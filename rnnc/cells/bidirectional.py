"""Two layers over one sequence, one from each end.

Shapes: ``x [B, in]`` → ``y [B, out₁ + out₂]``. ``Bidirectional(LSTM(30, 15), LSTM(30, 15))``.
Source: M. Schuster and K. Paliwal, "Bidirectional recurrent neural networks" (1997).
"""

from rnnc import concat, flip, net


def Bidirectional(forward, backward):
    """The layer y = [forward(x), backward(x reversed) reversed back]."""

    @net
    def Bidirectional(x, *, forward=forward, backward=flip(backward)):
        y = concat(forward(x), backward(x))
        return y

    return Bidirectional
