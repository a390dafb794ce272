import numpy as np

from rnnc import net


@net
def model(x):
    return np.mean(x)  # error: x has no value for numpy.mean while the net is traced
    #      ^^^^^^^^^^
