from rnnc import delay, net, stream, zeros


@net
def model(x=stream(3), *, start=zeros(4)):
    return delay(x, 1, init=start)  # error: an initial value f32[4] does not fit x, which is f32[B, 3]
    #      ^^^^^^^^^^^^^^^^^^^^^^^
