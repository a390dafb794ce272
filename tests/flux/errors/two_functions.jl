@net mutable struct Net
  W; b
  x -> x * W
  x -> x + b  # error: Net has 2 functions, and a net has one
# ^^^^^^^^^^
end

model = Net(4, 3)
