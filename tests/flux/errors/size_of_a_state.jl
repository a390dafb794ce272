@net mutable struct Net
  W; U; b
  y
  function (x)
    y = hcat(tanh(x * W + y{-1} * U + b), x)
  end
end

model = Net(4, 3)  # error: W of Net(4, 3) would have the shape (4, -1)
#       ^^^^^^^^^
