model = Affine(4, 3) § tanh  # error: expected '(', ',', '->', '=', '[', '{', a new line or an operator, not '§'
# columns 22 to 23
