@net mutable struct Net
  W; U; b
  y
  function (x)
    z = h * U  # error: h is read before it is assigned
#       ^
    h = x * W + b + z
    y = h + y{-1}
  end
end

model = Net(4, 3)
