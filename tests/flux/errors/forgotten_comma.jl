model = Affine(4 3)  # error: expected '(', ')', ',', '->', '[', '{' or an operator, not '3'
#                ^
