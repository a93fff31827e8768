"""The graph, the command line and the example configurations."""
