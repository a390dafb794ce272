from rnnc import net, softmax, stream


@net
def model(x=stream(3)):
    return softmax(x, axis="last")  # error: 'last' is no axis: axes are numbered
    #      ^^^^^^^^^^^^^^^^^^^^^^^
