model = Affine(4, 3, 2)  # error: Affine has 2 dimensions (in, out), and 3 sizes are given
#       ^^^^^^^^^^^^^^^
