"""compress_model: smaller and faster variants of the trained model."""
