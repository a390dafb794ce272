from rnnc import glorot, net, stream


@net
def model(x=stream("in"), *, W=glorot(4, "out")):
    return x @ W  # error: cannot multiply f32[B, 5] by f32[4, 3]: 5 columns meet 4 rows
    #      ^^^^^


model = model(5, 3)
