@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U + b)^2  # error: ^ is no operator of rows and matrices
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  end
end

model = Net(4, 3)
