"""The images of docs/reports.md from a report, with a Chromium.

python tests/take_screenshots.py output/demo/report.html docs/images
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

import chromium  # beside this file

SHOW_RUN = """(() => {
  const select = document.getElementById('run');
  const option = [...select.options].find((one) => one.label.includes(%r) && one.label.includes('base'));
  if (option) { select.value = option.value; select.dispatchEvent(new Event('change')); }
})()"""
SETTLED = "new Promise((done) => setTimeout(done, 300))"
PHONE = (390, 844)
COLOURS = 128
"""Enough for flat areas and the edges of letters; a third of the bytes."""


def save(png: bytes, path: Path) -> None:
    """An image with few colours, as small as it gets."""
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(path)


def main(report: Path, folder: Path, method: str = "MMRL,") -> None:
    """Top of the page in a wide window, charts on a phone in dark mode, a run of a method."""
    with tempfile.TemporaryDirectory() as profile:
        page = chromium.Page(profile)
        try:
            page.open(report.resolve(), width=1280)
            page.run(SETTLED)
            save(page.screenshot(), folder / "report.png")
            page.run(SHOW_RUN % method)
            page.run(SETTLED)
            save(page.screenshot("#details"), folder / "report-run.png")
            page.open(report.resolve(), width=PHONE[0], dark=True, height=PHONE[1])
            page.run("document.getElementById('charts').scrollIntoView({ behavior: 'instant' })")
            page.run(SETTLED)
            save(page.screenshot(), folder / "report-phone.png")
            if complaints := page.complaints():
                raise SystemExit(f"the browser complains: {complaints}")
        finally:
            page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
