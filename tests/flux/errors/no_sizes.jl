model = Affine(4)  # error: Affine does not know its dimension out
#       ^^^^^^^^^
