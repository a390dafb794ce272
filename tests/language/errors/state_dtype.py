from rnnc import cast, net, zeros


@net
def model(x, *, n=zeros(3)):
    z = x + n[-1]
    n = cast(x, "int64")  # error: n is assigned i64[B, 3], and its state is f32[B, 3]
    #   ^^^^^^^^^^^^^^^^
    return z
