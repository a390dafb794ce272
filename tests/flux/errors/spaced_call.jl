model = Affine (4, 3)  # error: '(' stands apart from what is before it
#              ^
