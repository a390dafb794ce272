from rnnc import net, stream


@net
def image(x=stream("C", "H")):
    return x * 2


double = image(2, 3)


@net
def model(x=stream(6)):
    return double(x)  # error: image(2, 3) declares x as f32[B, 2, 3], and is given f32[B, 6]
    #      ^^^^^^^^^
