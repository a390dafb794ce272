import numpy as np

from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


@net
def Two(x, *, first=Affine("in", "out")):
    return first(x)


model = Two(3, 4, first=np.ones(3))  # error: first of Two is a layer, and is given as array([1., 1., 1.])
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
