from rnnc import glorot, net


@net  # error: W is an input of model, and its default is no declaration of one
def model(x, W=glorot(4, 3)):
    return x @ W
