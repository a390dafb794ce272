from rnnc import flip, last, net


@net
def ends(x):
    return last(x)  # error: last() in reversed time would be the first step
    #      ^^^^^^^


model = flip(ends)
