model = @net x -> x .÷ 2  # error: '.÷' is not supported
# columns 21 to 23
