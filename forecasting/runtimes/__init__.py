"""How models are run where they are served: one definition for the model server and for measuring. TensorFlow is imported late."""
