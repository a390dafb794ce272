from rnnc import glorot, net


@net
def model(x, *, W=glorot("in", "out")):
    return x @ W[-1]  # error: W[-1] reads W at another step, and W is a weight
    #          ^^^^^


model = model(4, 3)
