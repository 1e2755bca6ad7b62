"""Draw the gallery of poolings for the documentation, whole and at a glance, with Chromium.

python scripts/gallery.py
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

from cnnatomy import REGISTRY, Reducer
from cnnatomy.reducers import reducer
from cnnatomy.report import gallery

IMAGES = Path(__file__).parents[1] / "docs" / "images"
TELLING = ("KMax(k=4)", "Kth(k=4)", "Lp(p=4.0, normalize='mean')", "Quantile(q=0.8)")
"""Poolings that look like others without arguments."""
GLANCE = ("max", "mean", "median", "soft", "stochastic")
"""A few that differ at first sight."""
WIDTH, HEIGHT, MARGIN = 1200, 4000, 40


def shown() -> list[Reducer]:
    """Every pooling of the registry, by name."""
    telling = {one.name: one for one in map(Reducer.parse, TELLING)}
    return [telling.get(name) or reducer(name) for name in sorted(REGISTRY)]


def photograph(page: Path, picture: Path) -> None:
    """Take a picture of a page, and cut off what is empty below it."""
    window = [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}", "--hide-scrollbars"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *window, page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(picture) as image:
        whole = image.convert("RGB")
    paper = Image.new("RGB", whole.size, whole.getpixel((0, whole.height - 1)))
    box = ImageChops.difference(whole, paper).getbbox()
    assert box, "the page is empty"
    whole.crop((0, 0, whole.width, box[3] + MARGIN)).quantize(255).save(picture, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "gallery.html"
        photograph(gallery.write(page, reducers=shown()), IMAGES / "poolings.png")
        glance = [reducer(name) for name in GLANCE]
        photograph(gallery.write(page, reducers=glance, regions=()), IMAGES / "poolings-glance.png")
