@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{0} * U + b + y{-1})  # error: y needs its own value at the same step
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  end
end

model = Net(4, 3)
