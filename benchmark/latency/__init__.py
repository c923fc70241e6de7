"""Milliseconds, bytes and joules of stored networks: dense, masked, shrunk, sparse kernels, ONNX Runtime and INT8."""
