from rnnc import net, relu, stream


@net
def model(x=stream(3)):
    return x + relu  # error: <function relu
    #      ^^^^^^^^
