"""The photos that come with the app, each with its author and licence, for a visitor who has none at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from kdcore.machine.paths import assets
from pages.ui.kit.images import data_url
from pages.ui.session.i18n import _

THUMBNAIL_SIDE = 128  # in pixels; the page shows it at half this size, so that it is sharp on fine screens too


@dataclass(frozen=True)
class SamplePicture:
    """A photo that comes with the app.

    Attributes:
        name: name in the URL, and of the file.
        title: name on the page.
        alt: what it shows, for those who do not see it.
        kind: the superclass that the teacher `photos` puts first, with at least 60 %.
        author, licence: who made it, and what allows everybody to pass it on.
        source: address of the page from which its first publisher took it.
        taken_from: the package and file from which it was reduced, and where the licence is stated.
    """

    name: str
    title: str
    alt: str
    kind: str
    author: str
    licence: str
    source: str
    taken_from: str

    @property
    def path(self) -> Path:
        """The photo's file, a JPEG of at most 384 pixels a side."""
        return folder() / f"{self.name}.jpg"


def folder() -> Path:
    """The folder that holds the photos and `credits.json`."""
    return assets() / "samples"


def sample_pictures() -> tuple[SamplePicture, ...]:
    """Return the photos in the order in which the page shows them; none where the project came without the folder."""
    credits = folder() / "credits.json"
    if not credits.is_file():
        return ()
    return tuple(SamplePicture(**entry) for entry in json.loads(credits.read_text(encoding="utf-8")))


def thumbnail_url(sample: SamplePicture) -> str:
    """Return the middle of the photo as a small square, as a data URL."""
    with Image.open(sample.path) as photo:
        small = ImageOps.fit(photo, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return data_url(small, "WEBP", quality=80)


def credit_line(sample: SamplePicture) -> str:
    """Return who made the photo and under which licence, as Markdown."""
    line = _("{title}: photo by [{author}]({source}), {licence}.")
    return line.format(title=sample.title, author=sample.author, source=sample.source, licence=sample.licence)
