from rnnc import glorot, net


@net
def model(x, *, W=glorot(3, 4), V=glorot(4, 7)):
    y = x @ W @ V
    return y + x  # error: cannot broadcast [B, 7] and [B, 3]: 7 meets 3
    #      ^^^^^
