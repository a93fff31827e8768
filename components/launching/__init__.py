"""train_model on pods of its own: the resource that makes them, and what becomes of it."""
