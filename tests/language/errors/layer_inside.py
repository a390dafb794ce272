from rnnc import glorot, net


@net
def Affine(x, *, W=glorot("in", "out")):
    return x @ W


@net
def model(x):
    return Affine(4, 3)(x)  # error: Affine makes a layer inside a body, and its weights would
    #      ^^^^^^^^^^^^
