from rnnc import net, stream


@net  # error: the body returns nothing
def model(x=stream(3)):
    return ()
