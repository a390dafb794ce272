from rnnc import net, ones, zeros


@net
def Total(x, *, y=zeros("n")):
    y = y[-1] + x
    return y


model = Total(4, y=ones("m"))  # error: y is given with the dimension m, which Total does not have
#       ^^^^^^^^^^^^^^^^^^^^^
