"""A vector for every token.

Shapes: ``x int64 [B]`` → ``y [B, out]``. ``Embedding(256, 32)``: vocabulary, out.
"""

from rnnc import gather, net, normal, stream


@net
def Embedding(x=stream(dtype="int64"), *, W=normal("vocabulary", "out")):
    """y = W[x], the row of that number"""
    y = gather(W, x)
    return y
