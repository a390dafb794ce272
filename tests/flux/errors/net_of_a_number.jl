model = @net 3  # error: @net stands before a struct or a function
#       ^^^^^^
