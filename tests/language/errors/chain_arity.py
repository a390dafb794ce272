from rnnc import Chain, net, tanh

pair = net(lambda x: (x, x))
model = Chain(pair, tanh)  # error: tanh cannot be called with 2 values: too many positional arguments
#       ^^^^^^^^^^^^^^^^^
