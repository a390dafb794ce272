from rnnc import net

kept = []


@net
def first(x):
    kept.append(x * 2)
    return x + 1


@net
def model(x):
    y = first(x)
    return y + kept[-1]  # error: the mul is used after its net has returned
    #      ^^^^^^^^^^^^
