@net mutable struct Net
  W; U; b
  y
  function (x)
    y = Affine(4, 3)(x) + y{-1} .* b + x * W * U  # error: Affine makes a layer inside a body, and its weights would be new in every run
#       ^^^^^^^^^^^^
  end
end

model = Net(4, 3)
