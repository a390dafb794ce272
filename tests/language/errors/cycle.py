from rnnc import net, tanh, zeros


@net
def model(x, *, y=zeros(3)):
    h = x + y[0]  # note: h needs y
    y = tanh(h)  # error: h and y need their own value at the same step
    #   ^^^^^^^
    # note: y needs h
    return y
