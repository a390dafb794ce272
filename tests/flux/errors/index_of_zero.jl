@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U + b)[:, 0:2]  # error: an index is a whole number from 1 on
#                                      ^
  end
end

model = Net(4, 3)
