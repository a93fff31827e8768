"""The TensorFlow room: network, training loop, export, conversion. No light module imports it."""
