None = 4  # error: None cannot be a name here
# columns 1 to 4
model = Affine(None, 3)
