@net type Two
  first
  second
  x -> second(first(x))
end

model = Two(Affine(4, 3))  # error: Two is made of first, second
#       ^^^^^^^^^^^^^^^^^
