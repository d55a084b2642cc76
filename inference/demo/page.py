"""A page in the browser to try a run, or two side by side. It talks to this machine only.

Gradio would load fonts and scripts from elsewhere and report its use: both are switched off here, and a content
security policy has the browser refuse whatever might remain.
"""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Sequence
from functools import lru_cache

import gradio as gr
from fastapi import FastAPI
from PIL import Image

from inference.classes import ClassesError, check_classes
from inference.demo.server import HOST, LARGEST
from inference.demo.server import serve as answer
from inference.images import read_image
from inference.output import notes
from inference.predictor import Predictor
from safeio.errors import UserError

KEPT_SECONDS = 3600
"""How long dropped images stay in Gradio's cache folder."""
EXPLANATION = (
    "One name per line. Names that the method was trained on keep its rule for trained classes, whatever their order; "
    "all others are new to it and marked so."
)


def asked(run: Predictor, names: Sequence[str]) -> Predictor | str:
    """The run for these classes, or why it cannot have them."""
    try:
        return run.with_classes(names)
    except (ClassesError, UserError) as error:
        return str(error)


def shares(predictor: Predictor, image: Image.Image, topk: int) -> dict[str, float]:
    """The best classes of an image with their probabilities; those that the method was not trained on are marked."""
    new = {name for name, seen in zip(predictor.classes, predictor.seen, strict=True) if not seen}
    (one,) = predictor.predict_images([image], topk)
    labels = (f"{name} (new)" if name in new else name for name in one.classes)
    return dict(zip(labels, one.probabilities, strict=True))


def build_page(runs: Sequence[Predictor]) -> gr.Blocks:
    """The page of one run, or of two to compare."""

    @lru_cache(maxsize=16)
    def for_classes(names: tuple[str, ...]) -> list[Predictor | str]:
        return [asked(run, names) for run in runs]

    title = " and ".join(run.run.record["method"] for run in runs)
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(f"# {title}")
        with gr.Row():
            files = gr.File(label="Drop images here", file_count="multiple", file_types=["image"], elem_id="images")
            names = gr.Textbox(
                "\n".join(runs[0].classes),
                label="Class names",
                info=EXPLANATION,
                lines=8,
                max_lines=16,
                elem_id="names",
            )
        topk = gr.Slider(1, 10, value=5, step=1, label="Classes shown")

        @gr.render(inputs=[files, names, topk], triggers=[page.load, files.change, names.change, topk.release])
        def results(paths: list[str] | None, text: str, k: int) -> None:
            try:
                found = for_classes(check_classes(text.splitlines(), "the box of class names"))
            except ClassesError as error:
                gr.Markdown(f"**{error}**", elem_id="problem")
                return
            with gr.Row():
                gr.Markdown("Image")
                for run, one in zip(runs, found, strict=True):
                    told = [f"**{one}**"] if isinstance(one, str) else notes(one)
                    gr.Markdown("  \n".join([_short(run), *told]))
            for path in paths or []:
                with gr.Row():
                    _result(found, path, int(k))

    return page


def _short(predictor: Predictor) -> str:
    """The last parts of the run's folder, which tell runs apart."""
    return f"`{'/'.join(predictor.run.folder.resolve().parts[-3:])}`"


def _result(found: Sequence[Predictor | str], path: str, topk: int) -> None:
    """A row of the page: the image and what each run says of it."""
    name = os.path.basename(path)
    try:
        image = read_image(path)
    except OSError:
        gr.Markdown(f"{name} cannot be read as an image.")
        return
    gr.Image(image, label=name, height=200, interactive=False, buttons=[])
    for one in found:
        if isinstance(one, str):
            gr.Markdown("no answer")
        else:
            gr.Label(shares(one, image, topk), label=one.run.record["method"], num_top_classes=topk)


def serve(page: gr.Blocks, port: int | None, wait: bool = True) -> str:
    """Show the page on the loopback interface; return its address, where `wait` is false at once.

    Args:
        port: None for the first free one from 7860 on.

    Raises:
        OSError: the port is taken.
    """
    app = gr.mount_gradio_app(
        FastAPI(),
        page,
        path="/",
        server_name=HOST,
        footer_links=[],
        max_file_size=LARGEST,
        ssr_mode=False,
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
    )
    return answer(app, port, wait)
