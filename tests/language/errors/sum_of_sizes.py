from rnnc import net, zeros


@net
def model(x, *, a=zeros(3), b=zeros(4)):
    y = x + a
    return y + b  # error: cannot broadcast [B, 3] and [4]: 3 meets 4
    #      ^^^^^
