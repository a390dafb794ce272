from rnnc import net

kept = []


@net
def model(x):
    kept.append(x)
    return x + kept[0]  # error: x is used after its net has returned
    #      ^^^^^^^^^^^


model.params
