from rnnc import glorot, net


@net
def model(x, *, W=glorot("in", "out")):
    return x @ W


model.params  # error: model does not know its dimension in
# columns 1 to 12
