@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y * U + b + y{-1})  # error: y is read before it is assigned, where it has no value at this step yet
#                    ^
  end
end

model = Net(4, 3)
