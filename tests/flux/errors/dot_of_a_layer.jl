affine = Affine(4, 3)
@net model(x) = affine.(x)  # error: Affine(4, 3) does not work element by element
#               ^^^^^^^^^^
