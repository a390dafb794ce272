model = Affine(0x10, 3)  # error: '0x10' is not supported
#              ^^^^
