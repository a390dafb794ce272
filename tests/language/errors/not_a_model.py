from rnnc import Chain

model = Chain(3)  # error: 3 cannot be in a Chain
#       ^^^^^^^^
