from rnnc import given, net, stream


@net
def model(x=stream(3), g=given(3)):
    return x + g[-1]  # error: g is the same at every step, and an integer index is time
    #          ^^^^^
