from rnnc import net


@net
def model(x):
    return x * len(x)  # error: x has no length while the net is traced
    #          ^^^^^^
