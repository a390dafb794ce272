"""Cells that are nearly, but not quite, a native op: the line that decides it says so in a comment.

    y = o * tanh(c) + b  # lstm: the output is not a gate times an activation of the cell

``models`` are layers of them, with one step of 3 features as input.
"""

from __future__ import annotations

from rnnc import glorot, net, relu, sigmoid, tanh, zeros

W3, R3, R0 = glorot(3, "n"), glorot("n", "n"), zeros("n")


@net
def moved(x, *, W=glorot(3, 8), R=glorot(2, 8), b=glorot(2), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    c = sigmoid(s[..., 0:2]) * c[-1] + sigmoid(s[..., 2:4]) * tanh(s[..., 4:6])
    y = sigmoid(s[..., 6:8]) * tanh(c) + b  # lstm: the output is not a gate times an activation of the cell
    return y


@net
def two_taps(x, *, W=W3, R=R3, S=R3, y=R0):
    y = tanh(x @ W + y[-1] @ R + y[-2] @ S)  # rnn: state y is read more than one step back
    return y


@net
def residual(x, *, W=W3, R=R3, y=R0):
    y = tanh(x @ W + y[-1] @ R) + y[-1]  # rnn: the state is not an activation of an affine form
    return y


@net
def squared(x, *, W=W3, R=R3, y=R0):
    square = y[-1] * y[-1]  # rnn: the state reads square
    y = tanh(x @ W + square @ R)
    return y


@net
def no_input(x, *, R=R3, y=R0):
    y = tanh(y[-1] @ R)  # rnn: the loop reads no stream
    return y + x[..., :1]


@net
def cell_shown(x, *, W=glorot(3, 8), R=glorot(2, 8), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    i = sigmoid(s[..., 2:4])
    c = sigmoid(s[..., 0:2]) * c[-1] + i * tanh(s[..., 4:6])  # lstm: c is needed outside of the loop
    y = sigmoid(s[..., 6:8]) * tanh(c)
    return y, c


@net
def full_peephole(x, *, W=glorot(3, 8), R=glorot(2, 8), P=glorot(2, 2), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    f = sigmoid(s[..., 0:2] + c[-1] @ P)  # lstm: the forget gate sees the cell through a full matrix
    c = f * c[-1] + sigmoid(s[..., 2:4]) * tanh(s[..., 4:6])
    y = sigmoid(s[..., 6:8]) * tanh(c)
    return y


@net
def late_peephole(x, *, W=glorot(3, 8), R=glorot(2, 8), p=zeros(2), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    o = sigmoid(s[..., 6:8] + p * c[-1])  # lstm: the output gate reads the state c
    c = sigmoid(s[..., 0:2]) * c[-1] + sigmoid(s[..., 2:4]) * tanh(s[..., 4:6])
    y = o * tanh(c)
    return y


@net
def seen_by_the_candidate(x, *, W=glorot(3, 8), R=glorot(2, 8), p=zeros(2), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    g = tanh(s[..., 4:6] + p * c[-1])  # lstm: the candidate reads the state c
    c = sigmoid(s[..., 0:2]) * c[-1] + sigmoid(s[..., 2:4]) * g
    y = sigmoid(s[..., 6:8]) * tanh(c)
    return y


@net
def two_kinds_of_gates(x, *, W=glorot(3, 8), R=glorot(2, 8), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    c = sigmoid(s[..., 0:2]) * c[-1] + sigmoid(s[..., 2:4]) * tanh(s[..., 4:6])
    o = relu(s[..., 6:8])  # lstm: the input gate is sigmoid, and the output gate relu
    y = o * tanh(c)
    return y


@net
def no_mixture(x, *, W=glorot(3, 8), R=glorot(2, 8), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    c = tanh(s[..., 0:2]) + c[-1] * c[-1]  # lstm: no state is forget ∘ state⁻ + input ∘ candidate
    y = sigmoid(s[..., 6:8]) * tanh(c)
    return y


@net
def not_complementary(x, *, W=W3, R=R3, V=W3, S=R3, y=R0):
    z = sigmoid(x @ W + y[-1] @ R)
    n = tanh(x @ V + (z * y[-1]) @ S)
    y = (2 - z) * n + z * y[-1]  # gru: the state is not (1 - z) ∘ candidate + z ∘ state⁻
    return y


@net
def state_beside_reset(x, *, W=W3, R=R3, V=W3, U=W3, Q=R3, S=R3, y=R0):
    z = sigmoid(x @ W + y[-1] @ R)
    r = sigmoid(x @ U + y[-1] @ Q)
    n = tanh(x @ V + (r * y[-1]) @ S + y[-1] @ Q)  # gru: the candidate sees the state beside a reset gate
    y = (1 - z) * n + z * y[-1]
    return y


@net
def two_gates_at_once(x, *, W=W3, R=R3, V=W3, S=R3, y=R0):
    f = sigmoid(x @ W + y[-1] @ R)  # lstm: the forget gate is not an activation of an affine form
    g = tanh(x @ V + y[-1] @ S)
    y = f * f * y[-1] + g
    return y


@net
def beyond_one(x, *, W=W3, R=R3, y=R0):
    y = 1.5 * y[-1] + tanh(x @ W + y[-1] @ R)  # lstm: the forget gate is not an activation of an affine form
    return y


@net
def scaled_candidate(x, *, W=glorot(3, 8), R=glorot(2, 8), y=zeros(2), c=zeros(2)):
    s = x @ W + y[-1] @ R
    g = tanh(s[..., 4:6])  # lstm: the candidate is multiplied by 2
    c = sigmoid(s[..., 0:2]) * c[-1] + 2 * sigmoid(s[..., 2:4]) * g
    y = sigmoid(s[..., 6:8]) * tanh(c)
    return y


@net
def reset_of_the_input(x, *, W=W3, R=R3, V=W3, U=W3, Q=R3, S=R3, y=R0):
    z = sigmoid(x @ W + y[-1] @ R)
    r = sigmoid(x @ U + y[-1] @ Q)
    reset = r * (x @ V + y[-1] @ S)  # gru: the reset gate is not applied to the state
    n = tanh(reset)
    y = (1 - z) * n + z * y[-1]
    return y


@net
def two_kinds_of_reset(x, *, W=W3, R=R3, V=W3, U=W3, Q=R3, S=R3, y=R0):
    z = sigmoid(x @ W + y[-1] @ R)
    r = tanh(x @ U + y[-1] @ Q)  # gru: the update gate is sigmoid, and the reset gate tanh
    n = tanh(x @ V + (r * y[-1]) @ S)
    y = (1 - z) * n + z * y[-1]
    return y


@net
def mirror_of_tanh(x, *, W=W3, R=R3, V=W3, U=W3, Q=R3, S=R3, y=R0):
    u = tanh(x @ W + y[-1] @ R)  # gru: the update gate is not an activation of an affine form
    r = tanh(x @ U + y[-1] @ Q)
    n = tanh(x @ V + (r * y[-1]) @ S)
    y = u * n + (1 - u) * y[-1]
    return y


models = {
    "moved": moved(),
    "two_taps": two_taps(4),
    "residual": residual(4),
    "squared": squared(4),
    "no_input": no_input(4),
    "cell_shown": cell_shown(),
    "full_peephole": full_peephole(),
    "late_peephole": late_peephole(),
    "seen_by_the_candidate": seen_by_the_candidate(),
    "two_kinds_of_gates": two_kinds_of_gates(),
    "no_mixture": no_mixture(),
    "not_complementary": not_complementary(4),
    "state_beside_reset": state_beside_reset(4),
    "two_gates_at_once": two_gates_at_once(4),
    "beyond_one": beyond_one(4),
    "scaled_candidate": scaled_candidate(),
    "reset_of_the_input": reset_of_the_input(4),
    "two_kinds_of_reset": two_kinds_of_reset(4),
    "mirror_of_tanh": mirror_of_tanh(4),
}
