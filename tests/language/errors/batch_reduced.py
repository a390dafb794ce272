from rnnc import mean, net, stream


@net
def model(x=stream(3)):
    return mean(x, axis=-2)  # error: the batch axis cannot be named: every sequence means what it means alone
    #      ^^^^^^^^^^^^^^^^
