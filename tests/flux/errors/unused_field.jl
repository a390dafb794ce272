@net mutable struct Net
  W; U; b  # error: the field b is not used, and nothing says what it is
#       ^
  y
  function (x)
    y = tanh(x * W + y{-1} * U)
  end
end

model = Net(4, 3)
