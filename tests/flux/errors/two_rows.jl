@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U + b) * x  # error: * multiplies by a matrix, and x is a row for each sequence
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  end
end

model = Net(4, 3)
