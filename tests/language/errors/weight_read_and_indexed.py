from rnnc import net, zeros


@net
def model(x, *, b=zeros(3)):
    return x + b + b[0]  # error: b[0] reads b at another step, and b is a weight
    #              ^^^^
