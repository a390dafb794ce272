from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(2, W=[[1, 2], [3]])  # error: W is given as [[1, 2], [3]], which is no array
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^
