"""The templates of pages, with the formats of numbers."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from forecasting import formats
from forecasting.web import WEB

TEMPLATES = Path(__file__).parent / "templates"


def template_environment() -> Environment:
    """Templates that escape what they are given and stop at what they are not given."""
    environment = Environment(loader=FileSystemLoader([TEMPLATES, WEB]), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    environment.filters |= {
        "number": formats.as_number,
        "share": formats.as_share,
        "signed_share": formats.as_signed_share,
        "margin": formats.as_margin,
        "bytes": formats.as_bytes,
        "ms": formats.as_milliseconds,
        "duration": formats.as_duration,
        "time": formats.as_time,
    }
    return environment
