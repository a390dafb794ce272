from rnnc import net


@net
def model(x):
    x[..., 0] = 1  # error: x has no parts to assign while the net is traced
    # columns 5 to 13
    return x
