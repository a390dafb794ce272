from rnnc import net

model = net(lambda x: x * 2)  # error: the size of x is not known
