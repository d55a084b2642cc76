"""Images of any kind, and files that only claim to be images: each has an outcome."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from dassl.utils import read_image

RAMP = np.linspace(0, 255, 32, dtype=np.uint8).reshape(4, 8)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP.T.reshape(4, 8)], axis=-1)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claimed_png(width: int, height: int) -> bytes:
    """A few bytes that say they are an image of this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, width, height):
    (tmp_path / "bomb.png").write_bytes(claimed_png(width, height))
    with pytest.raises(OSError, match=r"bomb\.png.*(pixels|size|bomb|too large)"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.6])
def test_a_cut_image_is_named(tmp_path, form, fraction):
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole, form)
    (tmp_path / "cut.img").write_bytes(whole.getvalue()[: int(fraction * len(whole.getvalue()))])
    with pytest.raises(OSError, match=r"cut\.img"):
        read_image(tmp_path / "cut.img")


def test_the_content_counts_and_not_the_name(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "really_png.jpg", "PNG")
    assert np.array_equal(np.asarray(read_image(tmp_path / "really_png.jpg")), COLOURS)
    (tmp_path / "page.jpg").write_text("<html>404 not found</html>")
    with pytest.raises(OSError, match=r"page\.jpg"):
        read_image(tmp_path / "page.jpg")


@pytest.mark.parametrize("pixels", [RAMP.astype(np.int32) * 257, RAMP.astype(np.float32) / 255, -RAMP.astype(np.int32)])
def test_numbers_of_an_unknown_range_are_refused(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "numbers.tif")
    with pytest.raises(OSError, match=r"numbers\.tif.*which of them is white is unknown"):
        read_image(tmp_path / "numbers.tif")


def test_numbers_of_eight_bits_are_read(tmp_path):
    Image.fromarray(RAMP.astype(np.int32)).save(tmp_path / "numbers.tif")
    assert np.array_equal(np.asarray(read_image(tmp_path / "numbers.tif"))[..., 0], RAMP)


@pytest.mark.parametrize(
    ("text", "message"),
    [("version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"), ("<svg/>", "'<svg/>'")],
)
def test_text_under_an_images_name_is_said(tmp_path, text, message):
    (tmp_path / "cat.png").write_text(text)
    with pytest.raises(OSError, match=rf"cat\.png: it is text that begins with .*{message}"):
        read_image(tmp_path / "cat.png")


def test_sixteen_bits_keep_their_upper_half(tmp_path):
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    read = np.asarray(read_image(tmp_path / "deep.png"))
    assert np.array_equal(read, np.repeat(RAMP[..., None], 3, axis=-1))


def test_palettes_transparency_and_print_colours(tmp_path):
    image = Image.fromarray(COLOURS)
    image.quantize(32).save(tmp_path / "palette.png")
    assert np.abs(np.asarray(read_image(tmp_path / "palette.png")).astype(int) - COLOURS).max() < 40
    image.putalpha(0)
    image.save(tmp_path / "invisible.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "invisible.png")), COLOURS)
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    r, g, b = np.asarray(read_image(tmp_path / "red.jpg")).reshape(-1, 3).mean(0)
    assert r > 200 and g < 60 and b < 60
    for mode in ("1", "L", "LA", "P", "RGBA"):
        Image.new(mode, (3, 5)).save(tmp_path / "any.png")
        read = read_image(tmp_path / "any.png")
        assert read.mode == "RGB" and read.size == (3, 5)


def test_a_note_of_how_the_camera_was_held_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (30, 10)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (30, 10)


def encoded(form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, form)
    return file.getvalue()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "PPM"]), st.data())
def test_damaged_bytes_give_a_image_or_an_oserror(tmp_path, form, data):
    content = bytearray(encoded(form))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(content)
    try:
        assert read_image(tmp_path / "damaged").mode == "RGB"
    except OSError as error:
        assert "damaged" in str(error)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
@example(b"P6 99999999 99999999 255\n")
def test_any_bytes(tmp_path, content):
    (tmp_path / "bytes").write_bytes(content)
    try:
        read_image(tmp_path / "bytes")
    except OSError as error:
        assert "bytes" in str(error)
