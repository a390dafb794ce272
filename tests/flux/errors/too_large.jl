model = Affine(2^64, 3)  # error: this cannot be computed: the result is no number of 64 bits
#              ^^^^
