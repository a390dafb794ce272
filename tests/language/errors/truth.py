from rnnc import net


@net
def model(x):
    if x > 0:  # error: the greater has no truth value while the net is traced
        # columns 8 to 12
        return x
    return -x
