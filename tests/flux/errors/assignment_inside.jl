@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(z = x * W + y{-1} * U + b)  # error: expected ')' or ',', not '='
#              ^
  end
end

model = Net(4, 3)
