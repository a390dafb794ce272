@net model(x, 3) = x  # error: a parameter is a name
#             ^
