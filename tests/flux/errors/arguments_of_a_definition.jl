gate(x, W, b) = σ(x * W + b)
@net mutable struct Net
  W; U; b
  y
  function (x)
    y = gate(x, W) + y{-1} * U + b  # error: gate takes 3 arguments, and 2 are given
#       ^^^^^^^^^^
  end
end

model = Net(4, 3)
