from rnnc import net, sum, zeros


@net
def model(x, *, y=zeros(3)):
    z = x + y[-1]
    y = sum(x, axis=0)  # error: y is assigned f32[B], and its state is f32[B, 3]
    #   ^^^^^^^^^^^^^^
    return z
