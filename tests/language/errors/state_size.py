from rnnc import glorot, net, zeros


@net
def model(x, *, W=glorot(4, 5), y=zeros(3)):
    z = y[-1] * 2  # note: y[-1] is read here
    y = x @ W  # error: y is assigned f32[B, 5], and its state is f32[B, 3]
    #   ^^^^^
    return z
