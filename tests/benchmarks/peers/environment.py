"""Environments of peers: made by uv under build/bench, never part of the project's own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def peer_python(name: str, *packages: str) -> Path:
    """Python of an environment with some packages; made when absent."""
    folder = ROOT / "build" / "bench" / f"peers-{name}"
    python = folder / "bin" / "python"
    if not (folder / ".complete").is_file():
        uv = ROOT / ".uv" / "bin" / "uv"
        print(f"installing {', '.join(packages)} into {folder.relative_to(ROOT)}", flush=True)
        subprocess.run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        subprocess.run(
            [str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *packages], check=True
        )
        (folder / ".complete").touch()
    return python
