"""Features, each written once for NumPy and TensorFlow."""
