import numpy as np

from rnnc import net


@net
def model(x):
    return x + np.array(x)  # error: x has no array while the net is traced
    #          ^^^^^^^^^^^
