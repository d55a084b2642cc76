"""The images of docs/reports.md from a report, and of docs/predict.md from trained runs, with a Chromium.

python tests/take_screenshots.py output/demo/report.html docs/images
python tests/take_screenshots.py RUN_DIR [RUN_DIR ...] docs/images
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
EXAMPLE = 3
"""Number of the example that the demonstration's images show."""
COLOURS = 255
"""Enough for flat areas and the edges of letters; a third of the bytes."""


def save(png: bytes, path: Path) -> None:
    """Save an image with few colours, as small as it gets; lines of rare colours keep theirs."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
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


def click_example(page: chromium.Page) -> None:
    """Choose an example image and wait for the answers."""
    page.wait_for(f"document.querySelectorAll('#examples button').length > {EXAMPLE}")
    page.run(f"document.querySelectorAll('#examples button')[{EXAMPLE}].click()")
    page.wait_for("document.querySelectorAll('.columns:not(.old) .class').length > 0")


def demo(runs: list[str], folder: Path) -> None:
    """Answers and attention on the page of `mmrl demo`, in a wide window and on a phone in dark mode."""
    from inference.commands.demo import make_parser, trial_of
    from inference.demo.server import serve_beside

    server = serve_beside(trial_of(make_parser().parse_args(runs)))
    with tempfile.TemporaryDirectory() as profile:
        page = chromium.Page(profile)
        try:
            page.open(server.address, width=1280, height=1500)
            click_example(page)
            page.run("document.querySelector('.class').click()")
            page.wait_for("document.querySelectorAll('.attention canvas').length > 2")
            page.run(SETTLED)
            save(page.screenshot("body"), folder / "demo.png")
            page.open(server.address, width=PHONE[0], dark=True, height=PHONE[1])
            click_example(page)
            page.run("document.getElementById('answers').scrollIntoView({ behavior: 'instant' })")
            page.run(SETTLED)
            save(page.screenshot(), folder / "demo-phone.png")
            if complaints := page.complaints():
                raise SystemExit(f"the browser complains: {complaints}")
        finally:
            page.close()
            server.shutdown()


if __name__ == "__main__":
    *sources, images = sys.argv[1:]
    if Path(sources[0]).is_dir():
        demo(sources, Path(images))
    else:
        main(Path(sources[0]), Path(images))
