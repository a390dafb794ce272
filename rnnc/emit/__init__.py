"""Emission: from a function graph to an ONNX file.

    form        what one call of a file takes and gives
    names       what tensors and nodes are called
    places      where in a source a node comes from, as files say it
    scope       one ONNX graph while it is written
    shapes      sizes known only when running
    nodes       an op in its ONNX form
    graph       the values of a graph as nodes and tensors
    scan        regions as loops
    manifest    what a file says about itself
    model       the whole
    save        files, written whole or not at all

``form``, ``names``, ``places`` and ``manifest`` do without ``onnx``.
"""
