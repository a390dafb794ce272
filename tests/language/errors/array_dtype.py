import numpy as np

from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(W=np.ones((5, 3), complex))  # error: W is given as complex128, and is float32
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
