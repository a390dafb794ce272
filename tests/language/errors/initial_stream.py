from rnnc import delay, net, stream


@net
def model(x=stream(3)):
    return delay(x, 1, init=x * 2)  # error: the mul changes from step to step, and cannot be an initial value
    #      ^^^^^^^^^^^^^^^^^^^^^^^
