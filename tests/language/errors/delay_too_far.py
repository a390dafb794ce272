from rnnc import net, stream


@net
def model(x=stream(3)):
    return x[-(10**30)]  # error: a delay of 1,000,000,000,000,000,000,000,000,000,000 steps
    #      ^^^^^^^^^^^^
