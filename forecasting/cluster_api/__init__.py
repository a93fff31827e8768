"""The interface of a cluster, asked from here or from a pod: requests, streams, where it is."""
