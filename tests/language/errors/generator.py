from rnnc import net, stream


@net  # error: model is a generator or a coroutine
def model(x=stream(3)):
    yield x
