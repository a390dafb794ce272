@net type Net
  W::Matrix  # error: types are not written here
#  ^^
  b
  x -> x * W + b
end
