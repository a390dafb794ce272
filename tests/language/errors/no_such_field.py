from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(4, 3, V=[[1.0]])  # error: Affine has no field V
#       ^^^^^^^^^^^^^^^^^^^^^^^
