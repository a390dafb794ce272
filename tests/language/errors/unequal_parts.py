from rnnc import net, split, stream


@net
def model(x=stream(7)):
    a, b = split(x, 2)  # error: 7 features cannot be split into 2 equal parts
    #      ^^^^^^^^^^^
    return a + b
