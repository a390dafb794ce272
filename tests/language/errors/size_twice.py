from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(3, 4, out=4)  # error: Affine is given its dimension out twice
#       ^^^^^^^^^^^^^^^^^^^
