from rnnc import net, zeros


@net
def model(x, *, y=zeros(3)):
    z = x + y[-1]  # error: y[-1] is read, but y is bound to 0.5 when the body returns
    #       ^^^^^
    y = 0.5
    return z
