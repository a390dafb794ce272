@net mutable struct Net
  W; U; b
  y
  function (x)
    y = .-tanh(x * W + y{-1} * U + b)  # error: .- stands between two values
#       ^^
  end
end

model = Net(4, 3)
