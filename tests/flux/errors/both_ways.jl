@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{1} * U + b + y{-1})  # error: y{1} looks ahead in a cycle that y{-1} looks back in
#                    ^^^^
  end
end

model = Net(4, 3)
