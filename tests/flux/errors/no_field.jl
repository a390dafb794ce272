@net mutable struct Net
  W; U; b
  function (x)
    y = tanh(x * W + y{-1} * U + b)  # error: y{-1} is read before y has a value, and y is no field
#                    ^^^^^
  end
end

model = Net(4, 3)
