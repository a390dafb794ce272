from rnnc import net, one_hot, stream


@net
def model(x=stream(dtype="int64")):
    return one_hot(x, -4)  # error: one_hot of depth -4: there must be at least one element
    #      ^^^^^^^^^^^^^^
