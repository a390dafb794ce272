@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U, b)  # error: tanh takes 1 argument, and 2 are given
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^
  end
end

model = Net(4, 3)
