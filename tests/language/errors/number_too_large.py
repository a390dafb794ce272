from rnnc import net, stream


@net
def model(x=stream(3)):
    return 10**400 * x  # error: a number of 401 digits does not fit f32
    #      ^^^^^^^^^^^
