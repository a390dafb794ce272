@net mutable struct Net
  W; U; b
  y
  function (x)
    for i in 1:3 end  # error: 'for' is not supported: a net has no loops
#   ^^^
  end
end

model = Net(4, 3)
