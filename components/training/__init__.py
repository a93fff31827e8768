"""train_model: the training loop as a step."""
