model = Chain(
    Affine(4, 3), σ
    Affine(5, 2))  # error: Affine(5, 2) does not fit after sigmoid, which gives f32[B, 3]: cannot multiply f32[B, 3] by f32[5, 2]: 3 columns meet 5 rows
#   ^^^^^^^^^^^^
