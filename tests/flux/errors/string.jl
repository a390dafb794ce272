model = Chain("Affine", σ)  # error: a string has no place here
#             ^^^^^^^^
