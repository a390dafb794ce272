@net mutable struct Net
  W; U; b
  y
  function (x)
    return x * W  # error: return is the last line of a body
#   ^^^^^^^^^^^^
    y = tanh(x * W + y{-1} * U + b)
  end
end

model = Net(4, 3)
