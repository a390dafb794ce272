@net mutable struct Net
  W; U; b
  y
  function (x)
    y[1] = tanh(x * W + y{-1} * U + b)  # error: only names can be assigned
#   ^^^^
  end
end

model = Net(4, 3)
