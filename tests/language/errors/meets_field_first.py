from rnnc import glorot, net, zeros


@net
def model(x, *, W=glorot(4, 3), gain=zeros(1)):
    y = gain * x
    return y @ W  # error: cannot multiply f32[B, 1] by f32[4, 3]: 1 columns meet 4 rows
    #      ^^^^^
