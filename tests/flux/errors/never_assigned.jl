@net mutable struct Net
  W; U; b
  y
  function (x)
    h = tanh(x * W + y{-1} * U + b)  # error: y{-1} is read, but y is never assigned
#                    ^^^^^
  end
end

model = Net(4, 3)
