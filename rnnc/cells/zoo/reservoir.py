"""Echo state network: a fixed, sparse, random reservoir, of which only what reads it is trained.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``EchoState(3, 500, a=0.3)``.
Source: H. Jaeger et al., "Optimization and applications of echo state networks with leaky-integrator neurons"
(2007).
"""

from rnnc import net, sparse, tanh, uniform, zeros


@net
def EchoState(x, *, W=uniform("in", "out"), U=sparse("out", "out", density=0.1, radius=0.9), h=zeros("out"),
              a=0.5):
    """h = (1−a) h⁻ + a tanh(x W + h⁻ U),  U sparse, its largest eigenvalue 0.9 in size"""
    h = (1 - a) * h[-1] + a * tanh(x @ W + h[-1] @ U)
    return h
