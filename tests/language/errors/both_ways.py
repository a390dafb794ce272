from rnnc import net, zeros


@net
def model(x, *, y=zeros(3)):
    a = y[-1] * 0.5  # note: y[-1] looks back here
    y = a + y[1] + x  # error: y[1] looks ahead in a cycle that y[-1] looks back in
    #       ^^^^
    return y
