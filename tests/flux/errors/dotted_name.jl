model = Flux.Affine(4, 3)  # error: fields of values, and modules, are not supported
#           ^
