from rnnc import net, stream, zeros


@net
def model(x=stream(3), *, a=zeros(3), b=zeros(3)):
    old = a[0]  # note: b is read here
    a = b[0]  # error: a and b are nothing but one another
    #   ^^^^
    b = old
    return x + a
