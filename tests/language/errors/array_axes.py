import numpy as np

from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(4, W=np.ones(5))  # error: W is given with shape (5,), and is [in, out]
#       ^^^^^^^^^^^^^^^^^^^^^^^
