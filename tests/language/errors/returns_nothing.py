from rnnc import net, stream


@net
def model(x=stream()):
    y = x * 2
    return print(y)  # error: the body returns nothing
    # columns 5 to 19
