@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(W * x + y{-1} * U + b)  # error: * multiplies by a matrix, and x is a row for each sequence
#            ^^^^^
  end
end

model = Net(4, 3)
