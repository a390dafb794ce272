"""Matrix memories: a state of keys by values, written to by outer products and read by a query.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``S [B, key, out]``. ``LinearAttention(30, 8, 15)``: in, key,
out.
Sources: A. Katharopoulos et al., "Transformers are RNNs: fast autoregressive transformers with linear
attention" (2020), with the identity as feature map and without the normaliser; S. Yang, J. Kautz and
A. Hatamizadeh, "Gated delta networks: improving Mamba2 with delta rule" (2025), one head, without the short
convolutions before it.
"""

from rnnc import einsum, exp, glorot, net, silu, softplus, sqrt, sum, uniform, unsqueeze, zeros
from rnnc import sigmoid as σ


@net
def LinearAttention(x, *, Wq=glorot("in", "key"), Wk=glorot("in", "key"), Wv=glorot("in", "out"),
                    S=zeros("key", "out")):
    """S = S⁻ + k vᵀ,  y = Sᵀ q,  q, k, v = x W"""
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    S = S[-1] + einsum("k,v->kv", k, v)
    y = einsum("kv,k->v", S, q)
    return y


def unit(v):
    """v / ‖v‖"""
    return v / sqrt(sum(v * v, axis=-1, keepdims=True) + 1e-6)


@net
def GatedDeltaNet(x, *, Wq=glorot("in", "key"), Wk=glorot("in", "key"), Wv=glorot("in", "out"),
                  Wα=glorot("in", 1), bα=zeros(1), A=uniform(1, low=0, high=1), Wβ=glorot("in", 1),
                  S=zeros("key", "out")):
    """S = α (S⁻ − β k (kᵀ S⁻)) + β k vᵀ,  y = Sᵀ q

    q, k = silu(x W) of length 1, v = silu(x Wv), α = exp(−exp(A) softplus(x Wα + bα)), β = σ(x Wβ).
    """
    q, k, v = unit(silu(x @ Wq)), unit(silu(x @ Wk)), silu(x @ Wv)
    α = exp(-exp(A) * softplus(x @ Wα + bα))
    β = σ(x @ Wβ)
    kS = einsum("k,kv->v", k, S[-1])
    S  = unsqueeze(α) * (S[-1] - einsum("k,v->kv", β * k, kS)) + einsum("k,v->kv", β * k, v)
    y  = einsum("kv,k->v", S, q)
    return y
