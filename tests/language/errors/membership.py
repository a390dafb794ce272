from rnnc import net


@net
def model(x):
    return x * (3 in x)  # error: x has no items to search while the net is traced
    #           ^^^^^^
