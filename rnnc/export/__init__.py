"""Exports: a file as what other servers and runtimes take.

wiring      the states of a step file, as a server that keeps them feeds them
triton      a model repository of Triton Inference Server
ort         the ORT format, for onnxruntime on phones and in browsers
"""
