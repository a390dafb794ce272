"""Emission: from a function graph to an ONNX file.

``names`` chooses tensor names, ``scope`` holds one ONNX graph while it is written, ``shapes`` computes sizes
known only when running, ``nodes`` writes ops from their ONNX forms, ``scan`` writes regions, ``graph`` writes
values, ``manifest`` says how the states are wired, ``model`` puts it all together and ``save`` writes files.
``onnx`` is imported here and nowhere else.
"""
