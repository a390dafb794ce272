@net mutable struct Net
  W; U; b
  y
  function (x)
    y = x * W + b
    h = y{-1} * U  # error: y{-1} is of a value that y held before it was bound again
#       ^^^^^
    y = tanh(y + h)
  end
end

model = Net(4, 3)
