from rnnc import delay, net, stream


@net
def model(x=stream(3)):
    return delay(x, 1.5)  # error: a delay of 1.5 steps is no whole number of them
    #      ^^^^^^^^^^^^^
