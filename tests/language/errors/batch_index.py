from rnnc import net


@net
def model(x):
    return x[:3]  # error: the batch axis cannot be indexed: every sequence means what it means alone
    #      ^^^^^
