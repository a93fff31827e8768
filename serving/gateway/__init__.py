"""HTTP that speaks forecasting instead of tensors, in front of a model server. No TensorFlow here."""
