"""The same work by other libraries, each in a process and an environment of its own."""
