from rnnc import glorot, net, stream


@net
def model(x=stream(dtype="int64"), *, W=glorot(9, 3)):
    return W[x]  # error: W is indexed with <x: i64[B]>: an index is made of slices and integers
    #      ^^^^
