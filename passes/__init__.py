"""The rule book: every pass and plan, one a file, in reading order, and the default pipelines.

A pipeline's passes take from ``compile`` the options that they have fields for: ``unroll`` the number of
steps, ``lift`` whether there are lengths, ``choose`` the sizes.
"""

from rnnc.passes import (  # isort: skip - in the order in which to read them
    fold as fold,
    share as share,
    algebra as algebra,
    canonicalize as canonicalize,
    inline_loops as inline_loops,
    share_delays as share_delays,
    unpack_delays as unpack_delays,
    retime as retime,
    hoist as hoist,
    fuse_gates as fuse_gates,
    bind as bind,
    lift as lift,
    open_loops as open_loops,
    windows as windows,
    products as products,
    interleave as interleave,
    taps as taps,
    step as step,
    unroll as unroll,
    recognize as recognize,
    native_lstm as native_lstm,
    native_gru as native_gru,
    native_rnn as native_rnn,
    linear_attention as linear_attention,
    running_sum as running_sum,
    linear_chunks as linear_chunks,
    matrix_powers as matrix_powers,
    scan as scan,
    straight as straight,
    choose as choose,
    merge_loops as merge_loops,
    gemm as gemm,
    unfuse_gates as unfuse_gates,
    lower_time as lower_time,
    blend as blend,
    stretch as stretch,
    batch_first as batch_first,
)

#: On streams: equations in their plainest form, the fewest delays, as little as can be inside loops, and one
#: product for all gates.
STREAMS = "inline-loops,canonicalize,share-delays,unpack-delays,retime,hoist,fuse-gates,canonicalize"
#: On functions: products with what is added to them, time as slices, what is known computed, mixtures as
#: short as they can be, and in loops no vector that is smaller than what it meets.
FUNCTIONS = "gemm,unfuse-gates,lower-time,fold{params=true},canonicalize,blend,stretch"

#: How streams become functions of sequences.
LIFT = "lift,open-loops,windows,products,interleave,taps,canonicalize"

CHUNK = f"{STREAMS},{LIFT},recognize,choose,merge-loops,{FUNCTIONS}"
SEQUENCE = f"bind,{CHUNK}"
#: The same of a single step, in which gates have products of their own outside of loops too.
APART = FUNCTIONS.replace("unfuse-gates", "unfuse-gates{outside=true}")
STEP = f"{STREAMS},step,open-loops,canonicalize,recognize,choose,{APART}"
UNROLL = f"{STREAMS},unroll,{FUNCTIONS}"
