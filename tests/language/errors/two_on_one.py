from rnnc import net, zeros


@net
def model(x, *, y=zeros(3), h=zeros(3)):
    z = x + y[-1] + h[-1]  # note: y[-1] is read here
    y = h = z * 2  # error: y and h end on one value, and each is to be its state
    #       ^^^^^
    return y
