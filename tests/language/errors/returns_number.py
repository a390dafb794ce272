from rnnc import net


@net
def model(x):
    y = x * 2
    return 3.0  # error: the body returns 3.0
