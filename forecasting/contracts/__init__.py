"""What all parts agree on. A change here is a commit of its own that raises `CONTRACT_VERSION`."""

CONTRACT_VERSION = 24
"""Raised by every change to this package; written into every manifest."""
