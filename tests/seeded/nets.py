"""Small nets, in each of which some bug shows."""

RNN = """
net rnn(stream x: f32[B, 3], param W: f32[3, 3], param R: f32[3, 3], param b: f32[3],
    state y: f32[B, 3]) -> (y) {
  y1: f32[B, 3] = delay(y, y.init) {k = 1}
  %0: f32[B, 3] = matmul(x, W)
  %1: f32[B, 3] = matmul(y1, R)
  %2: f32[B, 3] = add(%0, %1)
  %3: f32[B, 3] = add(%2, b)
  y: f32[B, 3] = tanh(%3)
}
"""
LOOKING_AHEAD = RNN.replace(", state y: f32[B, 3]", "").replace("y.init) {k = 1}", "0.5) {k = -1}")

LSTM = """
net lstm(stream x: f32[B, 2], param W: f32[2, 12], param R: f32[3, 12], param b: f32[12], param p: f32[3],
         state h: f32[B, 3], state c: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  c1: f32[B, 3] = delay(c, c.init) {k = 1}
  %0: f32[B, 12] = matmul(x, W)
  %1: f32[B, 12] = matmul(h1, R)
  %2: f32[B, 12] = add(%0, %1)
  %3: f32[B, 12] = add(%2, b)
  %4: (f32[B, 3], f32[B, 3], f32[B, 3], f32[B, 3]) = split(%3) {axis = 1, sizes = (3, 3, 3, 3)}
  %5: f32[B, 3] = item(%4) {k = 0}
  %6: f32[B, 3] = item(%4) {k = 1}
  %7: f32[B, 3] = item(%4) {k = 2}
  %8: f32[B, 3] = item(%4) {k = 3}
  %9: f32[B, 3] = mul(c1, p)
  %10: f32[B, 3] = add(%5, %9)
  f: f32[B, 3] = sigmoid(%10)
  i: f32[B, 3] = sigmoid(%6)
  o: f32[B, 3] = sigmoid(%7)
  g: f32[B, 3] = tanh(%8)
  %11: f32[B, 3] = mul(f, c1)
  %12: f32[B, 3] = mul(i, g)
  c: f32[B, 3] = add(%11, %12)
  %13: f32[B, 3] = tanh(c)
  h: f32[B, 3] = mul(o, %13)
}
"""

GRU = """
net gru(stream x: f32[B, 2], param W: f32[2, 9], param R: f32[3, 6], param S: f32[3, 3],
    state h: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  %0: f32[B, 9] = matmul(x, W)
  %1: f32[B, 6] = slice(%0) {axis = 1, start = 0, stop = 6}
  %2: f32[B, 6] = matmul(h1, R)
  %3: f32[B, 6] = add(%1, %2)
  %4: f32[B, 6] = sigmoid(%3)
  z: f32[B, 3] = slice(%4) {axis = 1, start = 0, stop = 3}
  r: f32[B, 3] = slice(%4) {axis = 1, start = 3, stop = 6}
  %5: f32[B, 3] = slice(%0) {axis = 1, start = 6, stop = 9}
  %6: f32[B, 3] = mul(r, h1)
  %7: f32[B, 3] = matmul(%6, S)
  %8: f32[B, 3] = add(%5, %7)
  n: f32[B, 3] = tanh(%8)
  %9: f32[B, 3] = sub(h1, n)
  %10: f32[B, 3] = mul(z, %9)
  h: f32[B, 3] = add(n, %10)
}
"""

LEAKY = """
net leaky(stream x: f32[B, 2], param W: f32[2, 3], param R: f32[3, 3], param V: f32[2, 3], param Q: f32[3, 3],
          state h: f32[B, 3]) -> (h, h1) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  %0: f32[B, 3] = matmul(x, W)
  %1: f32[B, 3] = matmul(h1, R)
  %2: f32[B, 3] = add(%0, %1)
  g: f32[B, 3] = tanh(%2)
  %3: f32[B, 3] = matmul(x, V)
  %4: f32[B, 3] = matmul(h1, Q)
  %5: f32[B, 3] = add(%3, %4)
  i: f32[B, 3] = sigmoid(%5)
  %6: f32[B, 3] = mul(i, g)
  %7: f32[B, 3] = mul(%6, 0.25)
  %8: f32[B, 3] = mul(h1, 0.875)
  h: f32[B, 3] = add(%7, %8)
}
"""

BISTABLE = """
net bistable(stream x: f32[B, 2], param W: f32[2, 3], param V: f32[2, 3], param Q: f32[3, 3],
             state h: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  %0: f32[B, 3] = matmul(x, V)
  %1: f32[B, 3] = matmul(h1, Q)
  %2: f32[B, 3] = add(%0, %1)
  %3: f32[B, 3] = tanh(%2)
  a: f32[B, 3] = sub(1.0, %3)
  %4: f32[B, 3] = matmul(x, W)
  %5: f32[B, 3] = mul(a, h1)
  %6: f32[B, 3] = add(%4, %5)
  n: f32[B, 3] = tanh(%6)
  %7: f32[B, 3] = mul(n, 0.25)
  %8: f32[B, 3] = mul(h1, 0.75)
  h: f32[B, 3] = add(%7, %8)
}
"""

PROJECTED = """
net projected(stream x: f32[B, 2], param W: f32[2, 12], param R: f32[3, 12], param P: f32[3, 3],
              state h: f32[B, 3], state c: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  c1: f32[B, 3] = delay(c, c.init) {k = 1}
  %0: f32[B, 12] = matmul(x, W)
  %1: f32[B, 12] = matmul(h1, R)
  %2: f32[B, 12] = add(%0, %1)
  %3: f32[B, 9] = slice(%2) {axis = 1, start = 0, stop = 9}
  %4: f32[B, 9] = sigmoid(%3)
  f: f32[B, 3] = slice(%4) {axis = 1, start = 0, stop = 3}
  i: f32[B, 3] = slice(%4) {axis = 1, start = 3, stop = 6}
  o: f32[B, 3] = slice(%4) {axis = 1, start = 6, stop = 9}
  %5: f32[B, 3] = slice(%2) {axis = 1, start = 9, stop = 12}
  g: f32[B, 3] = tanh(%5)
  %6: f32[B, 3] = mul(f, c1)
  %7: f32[B, 3] = mul(i, g)
  c: f32[B, 3] = add(%6, %7)
  %8: f32[B, 3] = tanh(c)
  u: f32[B, 3] = mul(o, %8)
  h: f32[B, 3] = matmul(u, P)
}
"""

DEEP = """
net deep(stream x: f32[B, 2], state y: f32[B, 2] {k = 3}) -> (y) {
  %0: f32[2, B, 2] = slice(y.init) {axis = 0, start = 0, stop = 2}
  y2: f32[B, 2] = delay(y, %0) {k = 2}
  y3: f32[B, 2] = delay(y, y.init) {k = 3}
  %1: f32[B, 2] = mul(y2, 0.5)
  %2: f32[B, 2] = add(y3, %1)
  %3: f32[B, 2] = add(%2, x)
  y: f32[B, 2] = tanh(%3)
}
"""

SHIFTED = """
net shifted(stream x: f32[B, 2]) -> (y) {
  x2: f32[B, 2] = delay(x, 3.0) {k = 2}
  ahead: f32[B, 2] = delay(x, 7.0) {k = -1}
  %0: f32[B, 2] = mul(x2, ahead)
  y: f32[B, 2] = add(x, %0)
}
"""

FIR = """
net fir(stream x: f32[B, 2], param W: f32[2, 3], param U: f32[2, 3], param V: f32[2, 3],
    state x: f32[B, 2] {k = 2} = x)
    -> (y) {
  %0: f32[1, B, 2] = slice(x.init) {axis = 0, start = 0, stop = 1}
  %1: f32[B, 2] = squeeze(%0) {axes = (0,)}
  x1: f32[B, 2] = delay(x, %1) {k = 1}
  x2: f32[B, 2] = delay(x, x.init) {k = 2}
  %2: f32[B, 3] = matmul(x, W)
  %3: f32[B, 3] = matmul(x1, U)
  %4: f32[B, 3] = matmul(x2, V)
  %5: f32[B, 3] = add(%2, %3)
  y: f32[B, 3] = add(%5, %4)
}
"""

AGREEING = """
net feedback(stream x: f32[B, 3], param W: f32[3, 3], state y: f32[B, 3] = r, state r.y: f32[B,
    3] = r) -> (r) {
  y1: f32[B, 3] = delay(r, y.init) {k = 1}
  r1: f32[B, 3] = delay(r, r.y.init) {k = 1}
  %0: f32[B, 3] = add(x, y1)
  %1: f32[B, 3] = matmul(r1, W)
  %2: f32[B, 3] = add(%0, %1)
  r: f32[B, 3] = tanh(%2)
}
"""

RETIMED = """
net retimed(stream x: f32[B, 2], state c: f32[B, 2]) -> (z, c) {
  c1: f32[B, 2] = delay(c, c.init) {k = 1}
  %0: f32[B, 2] = exp(c1)
  %1: f32[B, 2] = add(%0, x)
  c: f32[B, 2] = tanh(%1)
  z: f32[B, 2] = exp(c)
}
"""

PACKED = """
net packed(stream x: f32[B, 2], state s: f32[B, 4]) -> (h) {
  s1: f32[B, 4] = delay(s, s.init) {k = 1}
  h1: f32[B, 2] = slice(s1) {axis = 1, start = 0, stop = 2}
  c1: f32[B, 2] = slice(s1) {axis = 1, start = 2, stop = 4}
  %0: f32[B, 2] = mul(h1, 0.5)
  c: f32[B, 2] = add(%0, x)
  h: f32[B, 2] = tanh(c1)
  s: f32[B, 4] = concat(h, c) {axis = 1}
}
"""

BOUND = """
net bound(stream x: f32[B, 1], state y: f32[B, 1] {k = 2, init = f32[2, 1, 1] (1.0, 5.0)}) -> (y) {
  %0: f32[1, B, 1] = slice(y.init) {axis = 0, start = 0, stop = 1}
  %1: f32[B, 1] = squeeze(%0) {axes = (0,)}
  y1: f32[B, 1] = delay(y, %1) {k = 1}
  y2: f32[B, 1] = delay(y, y.init) {k = 2}
  %2: f32[B, 1] = mul(y1, x)
  y: f32[B, 1] = add(%2, y2)
}
"""

LIKE = """
net like(stream x: f32[B, 4]) -> (y) {
  %0: f32[B, 2] = slice(x) {axis = 1, start = 0, stop = 2}
  %1: f32[B, 2] = slice(x) {axis = 1, start = 2, stop = 4}
  y: f32[B, 2] = mul(%0, %1)
}
"""

CONSTANT = """
net constant(stream x: f32[B, 2]) -> (y) {
  %0: f32[2, 2] = const() {value = f32[2, 2] (1.0, 2.0, 3.0, 4.0)}
  %1: f32[2] = reduce_sum(%0) {axes = (0,), keepdims = false}
  y: f32[B, 2] = mul(x, %1)
}
"""

SUMMED = """
net summed(stream x: f32[B, 3], param W: f32[3, 3], state y: f32[B, 3]) -> (y) {
  y1: f32[B, 3] = delay(y, y.init) {k = 1}
  %0: f32[B, 3] = matmul(x, W)
  %1: f32[B, 3] = add(x, %0)
  y: f32[B, 3] = add(%1, y1)
}
"""

GATED = """
net gated(stream x: f32[B, 3], param U: f32[3, 2], param V: f32[3, 2]) -> (y) {
  %0: f32[B, 2] = matmul(x, U)
  %1: f32[B, 2] = sigmoid(%0)
  %2: f32[B, 2] = matmul(x, V)
  y: f32[B, 2] = mul(%1, %2)
}
"""

TWO_BACK = """
net two_back(stream x: f32[B, 3], given g: f32[B, 3], param U: f32[3, 3], state h: f32[B, 3] {k = 2}) -> (h) {
  h2: f32[B, 3] = delay(h, h.init) {k = 2}
  %0: f32[B, 3] = matmul(h2, U)
  %1: f32[B, 3] = mul(%0, g)
  %2: f32[B, 3] = add(x, %1)
  h: f32[B, 3] = tanh(%2)
}
"""
TWO_AHEAD = TWO_BACK.replace(", state h: f32[B, 3] {k = 2}", "").replace("h.init) {k = 2}", "0.5) {k = -2}")

MEETING = """
net meeting(stream x: f32[B, 2], state h: f32[B, 2] {k = 2}) -> (h) {
  h2: f32[B, 2] = delay(h, h.init) {k = 2}
  %0: f32[B, 2] = cumsum(h2) {axis = 0}
  %1: f32[B, 2] = add(x, %0)
  h: f32[B, 2] = tanh(%1)
}
"""

MIXED = """
net mixed(stream x: f32[B, 3], state h: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  z: f32[B, 3] = sigmoid(x)
  %0: f32[B, 3] = sub(1.0, z)
  %1: f32[B, 3] = mul(%0, h1)
  %2: f32[B, 3] = mul(z, x)
  h: f32[B, 3] = add(%1, %2)
}
"""

APART = """
net apart(stream x: f32[B, 6], param U: f32[3, 6], state h: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  %0: f32[B, 6] = matmul(h1, U)
  %1: f32[B, 6] = add(%0, x)
  %2: (f32[B, 3], f32[B, 3]) = split(%1) {axis = 1, sizes = (3, 3)}
  %3: f32[B, 3] = item(%2) {k = 0}
  %4: f32[B, 3] = item(%2) {k = 1}
  %5: f32[B, 3] = sigmoid(%3)
  %6: f32[B, 3] = tanh(%4)
  h: f32[B, 3] = mul(%5, %6)
}
"""

WAYS = """
net ways(stream x: f32[B, 3], state h: f32[B, 3]) -> (h, g) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  %0: f32[B, 3] = add(x, h1)
  h: f32[B, 3] = tanh(%0)
  g1: f32[B, 3] = delay(g, 0.5) {k = -1}
  %1: f32[B, 3] = mul(x, g1)
  g: f32[B, 3] = cos(%1)
}
"""
