from rnnc import glorot, net, stream


@net
def model(x=stream(4, dtype="int64"), *, W=glorot(4, 3)):
    return x @ W  # error: element types differ: i64[B, 4] and f32[4, 3]
    #      ^^^^^
