@net mutable struct Net
  W; b
  function (x)  # error: this function is empty
  end
end

model = Net(4, 3)
