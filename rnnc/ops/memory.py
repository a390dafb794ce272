"""Matrix memories: whole loops over time as one node, of onnxruntime's own domain, com.microsoft.

A memory holds a matrix of keys by values for each sequence. It occurs in function graphs only.
"""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Lit, Onnx, op, same_dim, same_dtype
from rnnc.types import TensorType, TupleType


def _rule(
    q: TensorType, k: TensorType, v: TensorType, s: TensorType, *rest: TensorType, rule: str
) -> TupleType:
    """Type rule: reads over time, and the memory afterwards."""
    wanted = {"linear": 0, "gated": 1, "gated_delta": 2}
    if wanted.get(rule) != len(rest):
        raise TypeMismatch(f"linear_attention has no rule {rule!r} of {len(rest)} gates")
    if any(t.rank != 3 for t in (q, k, v, *rest)) or s.rank != 4 or s.shape[1] != 1:
        raise TypeMismatch(f"linear_attention takes q, k, v of [B, T, …] and s of [B, 1, K, V], not {s}")
    batch, steps, keys = q.shape
    values = v.shape[2]
    shapes = [(k, (batch, steps, keys)), (v, (batch, steps, values)), (s, (batch, 1, keys, values))]
    shapes += [(t, (batch, steps, t.shape[2])) for t in rest]
    for found, shape in shapes:
        for have, want in zip(found.shape, shape, strict=True):
            same_dim(have, want, f"linear_attention: {found} must be {list(shape)}: {have} meets {want}")
    for gate, most in zip(rest, (keys, 1), strict=False):
        if gate.shape[2] not in (1, most):
            raise TypeMismatch(f"linear_attention: {gate} is no gate of {most} features")
    dtype = same_dtype(q, k, v, s, *rest)
    return TupleType((TensorType(dtype, v.shape), TensorType(dtype, s.shape)))


@op(
    type=_rule,
    axes="b t k, b t k, b t v, b h k v, b t d, b t o -> b t v, b h k v",
    onnx=Onnx(
        "LinearAttention",
        ("q", "k", "v", "s", "decay", "beta"),
        {"update_rule": "rule", "q_num_heads": Lit(1), "kv_num_heads": Lit(1), "scale": Lit(1.0)},
        domain="com.microsoft",
    ),
    tolerance=1e-5,
)
def linear_attention(
    q: Any, k: Any, v: Any, s: Any, decay: Any = None, beta: Any = None, *, rule: str
) -> Any:  # fmt: skip
    """Reads ``qᵀ S`` from a memory that each step decays, corrects and writes to::

        linear       S = S⁻ + k vᵀ
        gated        S = a ∘ S⁻ + k vᵀ
        gated_delta  S = a ∘ S⁻ + β k (v - (a ∘ S⁻)ᵀ k)ᵀ

    ``a`` is exp(decay), of a key or of all. Shapes: ``q``, ``k`` ``[B, T, K]``, ``v`` ``[B, T, V]``, ``s``
    ``[B, 1, K, V]``, ``decay`` ``[B, T, K]`` or ``[B, T, 1]``, ``beta`` ``[B, T, 1]``. Gives the reads
    ``[B, T, V]``, and the memory after the last step.
    """
    xp = array_namespace(q, s)
    memory, found = s[:, 0, ...], []
    for t in range(q.shape[1]):
        key, value = xp.expand_dims(k[:, t, :], axis=2), xp.expand_dims(v[:, t, :], axis=1)
        if decay is not None:
            memory = memory * xp.exp(xp.expand_dims(decay[:, t, :], axis=2))
        if beta is not None:
            kept = xp.sum(memory * key, axis=1, keepdims=True)
            value = (value - kept) * xp.expand_dims(beta[:, t, :], axis=2)
        memory = memory + key * value
        found.append(xp.sum(memory * xp.expand_dims(q[:, t, :], axis=2), axis=1))
    reads = xp.stack(found, axis=1) if found else xp.zeros_like(v)
    return reads, xp.expand_dims(memory, axis=1)
