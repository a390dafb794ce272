@net mutable struct Net
  W; W; b  # error: W is declared twice
#    ^
  x -> x * W + b
end

model = Net(4, 3)
