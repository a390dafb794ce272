model = Chain(
    Affine(4, 3), σ  # error: expected ')' or ',', not the end of the text
# columns 21 to 21
