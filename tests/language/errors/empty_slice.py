from rnnc import net, stream


@net
def model(x=stream(3)):
    return x[..., 5:]  # error: 5:None takes nothing of the 3 features of x
    #      ^^^^^^^^^^
