@net mutable struct Net
  W; U; b
  y
  function (x)
    if x > 0 y = x end  # error: 'if' is not supported: a net has no branches
#   ^^
  end
end

model = Net(4, 3)
