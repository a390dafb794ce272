from rnnc import glorot, net, tanh, zeros


@net
def model(x, *, W=glorot("in", "out"), U=glorot("out", "out"), y=zeros("out")):
    h = tanh(x @ W + y[-1] @ U)  # error: y[-1] is read, but y is never assigned
    #                ^^^^^
    return h


model = model(4, 3)
