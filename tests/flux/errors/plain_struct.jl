mutable struct Net  # error: a 'mutable struct' is no net without @net before it
# columns 1 to 7
  W; b
  x -> x * W + b
end
