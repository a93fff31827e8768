"""What all pages for people share: `look.css` and uPlot, the library that draws, as its registry publishes it."""

from pathlib import Path

WEB = Path(__file__).parent
