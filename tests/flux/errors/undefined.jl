@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tnah(x * W + y{-1} * U + b)  # error: tnah is not defined
#       ^^^^
  end
end

model = Net(4, 3)
