"""The language: nets written as Python functions become stream graphs.

locations    where in the user's source something was written
unify        sizes that are still unknown, and how they are found
inits        initialisers: what a weight or a state starts as
values       the symbolic values that the body of a net computes with
signature    what a net declares: inputs, fields and dimensions
scope        one call of a net: its names, its delays, its feedback
trace        one run of a model on symbolic values
states       which delays are one state, and what it is called
assemble     the values of a trace as a graph
layers       what can be traced, compiled, run and composed
nets         nets, and the layers made of them
weights      the arrays of a layer: drawing, naming, loading
running      a model on the reference machine
elementwise  the functions that bodies are written with, element by element
language     the others: along axes, and over time
"""
