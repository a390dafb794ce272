from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(4, 0)  # error: 0 is not a size for out: it must be a whole number above 0
#       ^^^^^^^^^^^^
