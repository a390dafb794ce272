from rnnc import net, stream

inner = net(lambda a, b: a + b)


@net
def model(x=stream(3)):
    return inner(x)  # error: net takes 2 inputs, and 1 is given
    #      ^^^^^^^^
