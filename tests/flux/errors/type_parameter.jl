@net mutable struct Net{A}  # error: type parameters are not supported
#                      ^
  W; b
  x -> x * W + b
end
