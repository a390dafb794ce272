sizes = (4, 3)
model = Affine(sizes...)  # error: '...' is not supported
#                   ^^^
