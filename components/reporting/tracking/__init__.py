"""What trackers are told of a run: gathered into a directory of its own first, sent from there by a process of its own."""
