@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U + b(x))
  end
end

model = Net(4, 3)  # error: Net is made of in, out, b
#       ^^^^^^^^^
