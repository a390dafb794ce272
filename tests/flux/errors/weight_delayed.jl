@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W{-1} + y{-1} * U + b)  # error: W{-1} reads W at another step, and W is a weight
#                ^^^^^
  end
end

model = Net(4, 3)
