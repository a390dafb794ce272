@model mutable struct Net  # error: the macro @model is not known
# columns 1 to 6
  W; b
  x -> x * W + b
end
