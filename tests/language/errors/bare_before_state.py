from rnnc import net, zeros


@net
def model(x, *, y=zeros(3)):
    z = x * y  # error: y is read before it is assigned, where it has no value at this step yet
    #   ^^^^^
    y = z + y[-1]  # note: y is assigned here
    return y
