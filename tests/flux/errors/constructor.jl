@net mutable struct Net
  W; U; b
  y
  function (x)
    y = tanh(x * W + y{-1} * U + b)
  end
end

Net(n) = Net(n, n)  # error: Net is defined twice
# columns 1 to 3
model = Net(4)
