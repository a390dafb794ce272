f(x) = g(x)  # error: f needs itself
# columns 1 to 1
g(x) = f(x)
model = Chain(Affine(4, 3), f)
