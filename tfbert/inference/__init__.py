"""A trained model put to work: labelling text, ONNX."""
