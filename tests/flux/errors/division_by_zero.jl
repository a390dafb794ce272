model = Affine(4 ÷ 0, 3)  # error: ÷ divides whole numbers, and not by 0
# columns 16 to 21
