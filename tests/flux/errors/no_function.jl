@net mutable struct Net  # error: Net has 0 functions, and a net has one
#                   ^^^
  W; b
end

model = Net(4, 3)
