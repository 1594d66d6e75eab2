"""ONNX files of a cross-encoder, each let through only if it orders real pairs as torch does.

`run.export` is the whole path, read first.
"""
