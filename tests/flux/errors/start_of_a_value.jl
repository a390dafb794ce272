w = Affine(3, 3)
model = @net x -> (w = w{-1} + x)  # error: the state w starts as Affine(3, 3), and is to start as a number
#       ^^^^^^^^^^^^^^^^^^^^^^^^^
