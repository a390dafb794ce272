import math

from rnnc import net


@net
def model(x):
    return x * math.exp(x)  # error: x has no number while the net is traced
    #          ^^^^^^^^^^^
