@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1.5} * U + b)  # error: a delay is a whole number of steps
#                      ^^^^
  end
end

model = Net(4, 3)
