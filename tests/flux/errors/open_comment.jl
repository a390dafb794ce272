model = Affine(4, 3)
#= and so on  # error: this comment is not closed
# columns 1 to 2
