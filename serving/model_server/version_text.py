"""What `--version` says."""

from importlib import metadata


def version_lines() -> str:
    """The version of this server and of the runtimes that are installed."""
    lines = [f"Almanac model server: {_version('almanac')}"]
    for title, package in (("TensorFlow Library", "tensorflow"), ("LiteRT Library", "ai-edge-litert")):
        lines.append(f"{title}: {_version(package)}")
    return "\n".join(lines) + "\n"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
