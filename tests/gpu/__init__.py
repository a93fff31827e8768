"""What only a machine with a GPU can show: the tests skip, and say so, where there is none."""
