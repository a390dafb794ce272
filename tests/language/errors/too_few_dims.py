from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


model = Affine(4)  # error: Affine does not know its dimension out
#       ^^^^^^^^^
