@net mutable struct Net
  W; b
  function (x)
    y = x * W + b
  end

model = Net(4, 3)  # error: expected '(', '->', '[', 'end', '{', a new line or an operator, not '='
#     ^
