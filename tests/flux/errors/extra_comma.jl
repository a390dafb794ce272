model = Affine(4,, 3)  # error: expected '(', ')', '@net', 'begin', 'function', a name, a number or an operator, not ','
#                ^
