"""buildah with a store of its own, so that nothing of the machine's images is touched."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forecasting.errors import ConfigError, RemoteError

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Certificates of this machine; a build trusts them, too, so that it passes a proxy that has its own."""
TAIL_LINES = 30


@dataclass(frozen=True)
class ImageStore:
    """Images and containers below one folder."""

    folder: Path

    def run(self, *words: str) -> str:
        """What a command of buildah prints.

        Raises:
            ConfigError: buildah is not installed.
            RemoteError: The command failed; the message holds the end of what it printed.
        """
        if shutil.which("buildah") is None:
            raise ConfigError("buildah must be on PATH; infra/images/install-tools installs it on Debian and Ubuntu")
        roots = ("--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run"))
        found = subprocess.run(("buildah", *roots, *words), check=False, capture_output=True, text=True)
        if found.returncode:
            tail = "\n".join((found.stdout + found.stderr).splitlines()[-TAIL_LINES:])
            raise RemoteError(f"buildah {words[0]} ended with {found.returncode}; its last lines:\n{tail}")
        return found.stdout

    def has(self, tag: str) -> bool:
        """Whether an image of this name is in the store."""
        return bool(self.run("images", "--quiet", "--filter", f"reference={tag}").strip())

    def import_base(self, archive: Path, tag: str) -> None:
        """Make an image of a root file system. archive: a tar file of it."""
        container = self.run("from", "scratch").strip()
        self.run("add", "--quiet", container, str(archive), "/")
        self.run("config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self.run("commit", "--quiet", "--rm", container, tag)

    def build(self, context: Path, target: str, tag: str, *, arguments: Sequence[str] = (), created_s: int = 0) -> None:
        """Build one target of a folder's Dockerfile.

        Args:
            context: Folder with the Dockerfile.
            target: Stage that becomes the image.
            tag: Name of the image.
            arguments: Build arguments, NAME=VALUE.
            created_s: Time of the image and of its files, UTC seconds: equal inputs give equal layers.
        """
        words = ["bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "--timestamp", str(created_s)]
        if CERTIFICATES.exists():
            words += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        words += [word for argument in arguments for word in ("--build-arg", argument)]
        self.run(*words, "--target", target, "--tag", tag, str(context))

    def inspect(self, tag: str) -> dict:
        """Configuration and layers of an image, as Docker describes them."""
        return json.loads(self.run("inspect", "--type", "image", tag))["Docker"]

    @contextmanager
    def container(self, tag: str) -> Iterator[str]:
        """A container of an image while the block runs; yields its name."""
        name = self.run("from", "--pull-never", tag).strip()
        try:
            yield name
        finally:
            self.run("rm", name)

    @contextmanager
    def files(self, tag: str) -> Iterator[Path]:
        """The file system of an image while the block runs; yields its root on this machine."""
        with self.container(tag) as name:
            root = self.run("mount", name).strip()
            try:
                yield Path(root)
            finally:
                self.run("umount", name)

    def command(self, container: str, words: Sequence[str], *, mounts: Sequence[str] = ()) -> list[str]:
        """The words that run something in a container, on this machine's network, as the image's user."""
        roots = ("--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run"))
        volumes = [word for mount in mounts for word in ("--volume", mount)]
        return ["buildah", *roots, "run", "--isolation", "chroot", *volumes, container, "--", *words]
