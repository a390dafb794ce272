shift(x) = x{-1}  # error: another step is read outside of a net
#          ^^^^^
model = Chain(Affine(4, 3), shift)
