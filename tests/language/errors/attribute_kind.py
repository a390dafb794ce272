from rnnc import net, one_hot, stream


@net
def model(x=stream(dtype="int64")):
    return one_hot(x, 2.5)  # error: one_hot has depth = 2.5, which is no int
    #      ^^^^^^^^^^^^^^^
