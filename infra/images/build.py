"""`make images`: the four targets of the Dockerfile, with sizes and bills of materials, without a Docker daemon.

    python -m infra.images.build --out build/images [--stand-in] [--target gateway ...]

With `--stand-in` the base image is made of Debian's packages under the name that the Dockerfile asks for: for machines that reach no
image registry. Its interpreter is Debian's, of the same minor version; everything above it is what the real base would carry.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from forecasting.errors import AlmanacError, RemoteError
from forecasting.version import VERSION
from infra.images.bill_of_materials import bill_of_materials
from infra.images.buildah import ImageStore

ROOT = Path(__file__).parents[2]
TARGETS = ("gateway", "serving", "steps", "trainer")
SUITE = "bookworm"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv", "python-is-python3")
REPORT_FILE = "images.json"


@dataclass(frozen=True)
class ImageReport:
    """One image. size_bytes: of its layers unpacked; build_s: wall seconds; layers: digests of their contents, lowest first."""

    tag: str
    size_bytes: int
    build_s: float
    layers: tuple[str, ...]
    n_components: int


def base_tag(dockerfile: Path) -> str:
    """Name of the image that everything is built on: the first FROM."""
    found = re.search(r"^FROM (\S+)", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RemoteError(f"{dockerfile} must begin with a FROM")
    return found.group(1)


def make_stand_in(store: ImageStore, tag: str) -> None:
    """A base image of Debian's packages, unless the store has one of that name."""
    if store.has(tag):
        return
    archive = store.folder / "base.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", SUITE, str(archive)]
    found = subprocess.run(words, check=False, capture_output=True, text=True)
    if found.returncode:
        raise RemoteError(f"mmdebstrap ended with {found.returncode}: {found.stderr[-2_000:]}")
    store.import_base(archive, tag)
    archive.unlink()


def build_image(store: ImageStore, target: str, *, revision: str, out: Path) -> ImageReport:
    """Build one target; its bill of materials goes to `TARGET.cdx.json` in `out`."""
    tag, began = f"almanac/{target}:{VERSION}-python3.11", time.monotonic()
    store.build(ROOT, target, tag, arguments=(f"REVISION={revision}",))
    build_s = time.monotonic() - began
    with store.files(tag) as root:
        bill = bill_of_materials(root, name=f"almanac/{target}", version=VERSION)
        size_bytes = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{target}.cdx.json").write_text(bill, encoding="utf-8")
    layers = tuple(store.inspect(tag)["rootfs"]["diff_ids"])
    return ImageReport(tag, size_bytes, round(build_s, 1), layers, len(json.loads(bill)["components"]))


def _line(report: ImageReport) -> str:
    size = f"{report.size_bytes / 1e6:.0f} MB"
    return f"{report.tag:36} {size:>8} {report.n_components:4} packages {report.build_s:6.1f} s\n"


def main(words: list[str] | None = None) -> int:
    """Build what is asked for; 1 where something fails."""
    parser = argparse.ArgumentParser(prog="python -m infra.images.build", description="Build the images by buildah.")
    parser.add_argument(
        "--out", type=Path, default=Path("build/images"), help="for the store, the report and the bills"
    )
    parser.add_argument("--target", choices=TARGETS, action="append", help="may be given again; none: all")
    parser.add_argument("--stand-in", action="store_true", help="make the base image of Debian's packages")
    parser.add_argument("--revision", default="unknown", help="of the sources, for the image's label")
    flags = parser.parse_args(words)
    store = ImageStore(flags.out.resolve() / "store")
    reports = {}
    try:
        if flags.stand_in:
            make_stand_in(store, base_tag(ROOT / "Dockerfile"))
        else:
            store.run("pull", "--quiet", base_tag(ROOT / "Dockerfile"))
        for target in flags.target or TARGETS:
            report = reports[target] = build_image(store, target, revision=flags.revision, out=flags.out)
            sys.stdout.write(_line(report))
            (flags.out / REPORT_FILE).write_text(json.dumps({k: asdict(v) for k, v in reports.items()}, indent=1))
    except AlmanacError as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
