"""A run for other programs: its scores as an ONNX graph, and its model card."""
