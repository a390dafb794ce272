from rnnc import net, softmax, stream


@net
def model(x=stream(3)):
    return softmax(x, axis=1)  # error: axis 1 of a value with 1 feature axes
    #      ^^^^^^^^^^^^^^^^^^
