@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U + b) + tanh  # error: tanh cannot be computed with
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  end
end

model = Net(4, 3)
