@net model(x, x) = x + x  # error: x is declared twice
#             ^
