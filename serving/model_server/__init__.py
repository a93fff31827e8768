"""A model server that speaks TensorFlow Serving's protocol, for laptops, CI and the candidate check."""
