"""Write the picture of the pooling gallery that ships inside the package, from scikit-learn's sample images.

python scripts/embed_picture.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

ASSETS = Path(__file__).parents[1] / "src" / "cnnatomy" / "report" / "assets"
PART = (62, 24, 350, 312)  # the pagoda's roofs

if __name__ == "__main__":
    picture = Image.fromarray(load_sample_image("china.jpg")).crop(PART)
    picture.resize((128, 128), Image.Resampling.LANCZOS).save(ASSETS / "pagoda.png", optimize=True)
