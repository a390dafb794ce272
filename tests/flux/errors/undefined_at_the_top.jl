model = Chain(Afine(4, 3), σ)  # error: Afine is not defined
#             ^^^^^
