from rnnc import glorot, net, zeros


@net
def model(x, *, W=glorot(4, 3), gain=zeros(1)):
    y = x @ W
    return (gain * x) @ W + y  # error: x is f32[B, 4] and meets gain, which is f32[1]: 4 is not 1
    #       ^^^^^^^^
