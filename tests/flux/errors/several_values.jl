@net two(x) = x, 2x
@net function model(x)
  a, b, c = two(x)  # error: 3 values are needed here, not 2
#           ^^^^^^
  a
end
