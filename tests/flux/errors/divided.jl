@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U + b) / b  # error: / divides by a number
#       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  end
end

model = Net(4, 3)
