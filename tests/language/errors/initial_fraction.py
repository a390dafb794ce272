from rnnc import delay, net, stream


@net
def model(n=stream(2, dtype="int64")):
    return delay(n, 1, init=1.5)  # error: 1.5 meets i64, whose elements are whole numbers
    #      ^^^^^^^^^^^^^^^^^^^^^
