from rnnc import net, stream, sum


@net
def model(x=stream(1)):
    return x + sum(x)  # error: add of f32[B, 1] and f32[B] mixes the batch axis with features
    #      ^^^^^^^^^^
