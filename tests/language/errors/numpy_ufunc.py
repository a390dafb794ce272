import numpy as np

from rnnc import net


@net
def model(x):
    return np.tanh(x)  # error: x has no value for numpy.tanh while the net is traced
    #      ^^^^^^^^^^
