from rnnc import net


@net
def model(x):
    a, b = x  # error: x has no items to iterate over while the net is traced
    # columns 5 to 8
    return a + b
