model = Affine(4, 3; init = zeros)  # error: keyword arguments are not supported
#                  ^
