"""The gateway over gRPC: one call for a few series, a stream for many."""
