"""Model repositories by way of an object store: one side pushes what has a role, the others pull it."""
