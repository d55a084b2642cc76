"""Read images: one list of formats and one opener, for training, prediction and every check.

Pillow knows formats that it hands to other programs (EPS to Ghostscript) or only describes. Those are never tried: a
file is opened as one of `FORMATS`, whatever its name ends in.
"""

from __future__ import annotations

import contextlib
import io
import os
from functools import cache
from pathlib import Path
from typing import Any, cast

from PIL import Image, ImageOps

from safeio.errors import MissingFile, UserError
from safeio.packed_images import is_packed, packed_bytes

FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA", "ICO", "ICNS",
    "CUR", "PCX", "DCX", "DDS", "MSP", "PSD", "QOI", "SGI", "SUN", "XBM", "XPM",
)  # fmt: skip
"""Formats that Pillow (for HEIF: pillow-heif) decodes within the process."""


class UnreadableImage(UserError, OSError):
    """A file that is there is no whole image; the message names it."""


@cache
def readable_formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this installation decodes."""
    with contextlib.suppress(ImportError):  # optional: photos of iPhones
        from pillow_heif import register_heif_opener

        register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def image_suffixes() -> frozenset[str]:
    """Return the endings, lower case and with the dot, of files in a folder that are taken for images."""
    formats = {*readable_formats(), "MPO"}  # MPO, of cameras with two lenses, is opened as a JPEG
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def is_image_name(name: str | os.PathLike) -> bool:
    """Return True where a file's ending is one of an image."""
    return os.path.splitext(os.fspath(name))[1].lower() in image_suffixes()


def open_image(source: str | os.PathLike | bytes) -> Image.Image:
    """Open an image without decoding it.

    Args:
        source: a file, an address inside a packed file (`safeio.packed_images`), or the bytes themselves.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableImage: the file is empty or of no format in the list.
    """
    name = "the image" if isinstance(source, bytes) else os.fspath(source)
    file: Any = source
    if isinstance(source, bytes) or is_packed(name):
        file = io.BytesIO(source if isinstance(source, bytes) else packed_bytes(name))
    elif not os.path.isfile(name):
        raise MissingFile(f"There is no image {name}")
    elif not os.path.getsize(name):
        raise UnreadableImage(f"Cannot read the image {name}: the file is empty (0 bytes)")
    try:
        return Image.open(file, formats=readable_formats())
    except Exception as error:  # decoders answer damaged data with almost any exception
        raise UnreadableImage(f"Cannot read the image {name}: {_reason(error, name)}") from error


def read_image(source: str | os.PathLike | bytes, upright: bool = False) -> Image.Image:
    """Read an image as RGB, whatever its name ends in.

    Transparency is dropped, as in published code. Of 16 bits the upper 8 are taken.

    Args:
        source: as in `open_image`.
        upright: turn it as its EXIF orientation says. Published code does not; a damaged note is ignored.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableImage: the file is no image, is cut off, or claims more pixels than Pillow takes for honest (twice
            Image.MAX_IMAGE_PIXELS); the message names it.
    """
    try:
        with open_image(source) as opened:
            image = opened
            rgb = as_rgb(image)
            return _upright(opened, rgb) if upright else rgb
    except UserError:
        raise
    except Exception as error:  # decoders answer damaged data with almost any exception
        name = "the image" if isinstance(source, bytes) else os.fspath(source)
        raise UnreadableImage(f"Cannot read the image {name}: {_reason(error, name)}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image in memory as RGB; transparency is dropped, of 16 bits the upper 8 are taken.

    Raises:
        ValueError: its pixels are numbers of a range that nobody knows, which Pillow would clip to black and white.
    """
    if image.mode.startswith("I;16"):  # which Pillow would clip at 255: all white
        image = image.point(lambda value: value / 256, "L")
    if image.mode in ("I", "F"):
        low, high = cast(tuple[float, float], image.getextrema())  # one channel
        if low < 0 or high > 255 or (image.mode == "F" and high <= 1):
            raise ValueError(
                f"its pixels are 32-bit numbers from {low:g} to {high:g}, and which of them is white is unknown: "
                f"convert it to 8 bits"
            )
    return image.convert("RGB")


def _upright(opened: Image.Image, rgb: Image.Image) -> Image.Image:
    """Turn `rgb` as the opened file's EXIF data says."""
    try:
        orientation = opened.getexif().get(0x0112)
        if orientation not in range(2, 9):
            return rgb
        rgb.getexif()[0x0112] = orientation
        return ImageOps.exif_transpose(rgb)
    except Exception:  # Pillow answers damaged EXIF data with almost any exception; the image itself is whole
        return rgb


def image_problem(source: str | os.PathLike) -> str | None:
    """Return the reason why an image cannot be decoded; None if it can."""
    try:
        read_image(source)
    except OSError as error:
        return str(error)
    return None


def _beginning_of_text(name: str) -> str:
    """Return the first characters of a text file, such as an error page that was saved as an image; else nothing."""
    with contextlib.suppress(OSError, UnicodeDecodeError), open(name, "rb") as file:
        text = file.read(40).decode("ascii")
        return text if text.replace("\n", " ").isprintable() else ""
    return ""


def _reason(error: Exception, name: str) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        suffix = Path(name).suffix.lower()
        if suffix in (".heic", ".heif") and "HEIF" not in readable_formats():
            return "HEIC needs an extra package: pip install pillow-heif"
        if text := _beginning_of_text(name):
            hint = ", a pointer of Git LFS: git lfs pull" if text.startswith("version https://git-lfs") else ""
            return f"it is text that begins with {text!r}{hint}"
        return f"it is damaged, or of another format than {', '.join(readable_formats())}"
    if isinstance(error, Image.DecompressionBombError):
        return (
            f"it has too many pixels: make it smaller or, if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS ({error})"
        )
    return str(error) or type(error).__name__
