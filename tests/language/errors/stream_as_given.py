from rnnc import given, net, stream


@net
def shifted(x=stream(3), g=given(3)):
    return x + g


@net
def model(x=stream(3)):
    return shifted(x, x)  # error: shifted() declares g as given, the same at every step, and gets a stream
    #      ^^^^^^^^^^^^^
