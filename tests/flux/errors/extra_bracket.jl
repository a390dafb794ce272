model = Affine(4, 3))  # error: expected a new line, not ')'
#                   ^
