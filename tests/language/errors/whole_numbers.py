from rnnc import net, stream


@net
def model(x=stream(dtype="int64")):
    return x * 0.5  # error: 0.5 meets i64, whose elements are whole numbers
    #      ^^^^^^^
