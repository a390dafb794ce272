from rnnc import last, net, stream


@net
def model(x=stream(3)):
    z = last(x)
    return z[-1]  # error: the last is known at the last step only, and has no step before
    #      ^^^^^
