from rnnc import net, stream


@net
def model(x=stream(3)):
    return x[..., 1:, 1:, 1:]  # error: too many indices for x, whose type is f32[B, 3]
    #      ^^^^^^^^^^^^^^^^^^
