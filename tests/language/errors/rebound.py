from rnnc import net, tanh, zeros


@net
def model(x, *, y=zeros(3)):
    y = tanh(x)
    z = y[-1]  # error: y[-1] is of a value that y held before it was bound again
    #   ^^^^^
    y = y + z  # note: y is bound again here
    return y
