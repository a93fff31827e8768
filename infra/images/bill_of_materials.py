"""What is in an image: its Python distributions and Debian packages, as CycloneDX 1.6."""

import json
import uuid
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from forecasting.errors import ArtifactError

ENVIRONMENT = "opt/almanac"
DPKG_STATUS = "var/lib/dpkg/status"


def bill_of_materials(root: Path, *, name: str, version: str) -> str:
    """List what is installed below a root file system.

    Args:
        root: Of the image, as this machine sees it.
        name: Of the image.
        version: Of the image.

    Returns:
        A CycloneDX document; equal contents give equal bytes.

    Raises:
        ArtifactError: There is no environment or no list of Debian packages in it.
    """
    found = sorted({*_python(root), *_debian(root)}, key=lambda one: str(one.purl))
    bom = Bom(components=found, serial_number=uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(str(one.purl) for one in found)))
    bom.metadata.component = Component(name=name, version=version, type=ComponentType.CONTAINER, bom_ref=name)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=1, sort_keys=True)


def _python(root: Path) -> Iterator[Component]:
    folders = sorted((root / ENVIRONMENT).glob("lib/python*/site-packages"))
    if not folders:
        raise ArtifactError(f"/{ENVIRONMENT} of the image must be a virtual environment; it has no site-packages")
    for distribution in distributions(path=[str(folder) for folder in folders]):
        yield _component("pypi", distribution.metadata["Name"].lower(), distribution.version)


def _debian(root: Path) -> Iterator[Component]:
    status = root / DPKG_STATUS
    if not status.is_file():
        raise ArtifactError(f"/{DPKG_STATUS} must be in the image: its base must be Debian")
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status") == "install ok installed":
            yield _component("deb", fields["Package"], fields["Version"])


def _component(kind: str, name: str, version: str) -> Component:
    url = PackageURL(kind, "debian" if kind == "deb" else None, name, version)
    return Component(name=name, version=version, purl=url, bom_ref=str(url))
