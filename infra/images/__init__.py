"""Images without a Docker daemon: built by buildah, listed and measured."""
