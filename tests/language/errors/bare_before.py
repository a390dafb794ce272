from rnnc import net, zeros


@net
def model(x, *, y=zeros(3)):
    y = x + y  # error: y is read before it is assigned, where it has no value at this step yet
    #   ^^^^^
    # note: y is assigned here
    return y
