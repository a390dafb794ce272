from rnnc import net, stream


@net
def model(x=stream(3)):
    return model(x) + 1  # error: model is called inside 50 others: does it call itself?
    #      ^^^^^^^^
