from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(3, 4, W=Affine(3, 4))  # error: W of Affine is an array, and is given as a layer
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
