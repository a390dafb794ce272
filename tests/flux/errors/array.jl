model = Affine([1, 2], 3)  # error: arrays are not written in the source
#              ^
