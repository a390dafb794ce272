from rnnc import net


@net
def Residual(x, *, inner):
    return x + inner(x)


model = Residual()  # error: Residual needs its field inner
#       ^^^^^^^^^^
