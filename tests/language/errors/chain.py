from rnnc import Chain, glorot, net, zeros


@net
def Affine(x, *, W=glorot("in", "out"), b=zeros("out")):
    return x @ W + b  # note: it is used here


model = Chain(
    Affine(4, 5),  # note: and given here
    Affine(6, 3),  # error: Affine(6, 3) does not fit after Affine(4, 5), which gives f32[B, 5]
    # columns 5 to 16
)
