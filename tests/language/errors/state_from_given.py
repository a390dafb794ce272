from rnnc import delay, given, net


@net
def model(x, g=given(3)):
    return x + delay(x + g, 1, init=g)  # error: the state s0 starts from g, which is not known before the run
    #          ^^^^^^^^^^^^^^^^^^^^^^^
