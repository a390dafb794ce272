model = Affine(4 / 2, 3)  # error: 2.0 is not a size
#       ^^^^^^^^^^^^^^^^
