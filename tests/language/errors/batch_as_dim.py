from rnnc import glorot

W = glorot("B", 3)  # error: 'B' cannot be a dimension: T and B are the numbers of steps and of sequences
#   ^^^^^^^^^^^^^^
