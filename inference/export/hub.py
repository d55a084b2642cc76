"""A trained run as a folder for a model hub: safetensors, `config.json`, a card as README.md. `mmrl.load` reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from inference.export.model_card import card, write_parameters
from inference.export.programs import ExportError
from inference.predictor import Predictor
from inference.run_folder import HUB_CONFIG, HUB_LIBRARY, HUB_WEIGHTS
from safeio.atomic import atomic_write_json, atomic_write_text
from safeio.escape import for_code, for_markdown, for_yaml
from safeio.read_back import reason_of

CARD = "README.md"
SHARED = (
    *("method", "dataset", "protocol", "stage", "preset", "task", "subsample_classes", "test_classes", "shots", "seed"),
    *("status", "metrics", "trainable_params", "versions", "code"),
)
"""Fields of a record that describe the model, not the machine."""


def write_hub_folder(predictor: Predictor, folder: Path) -> str:
    """Write the folder.

    Returns:
        A sentence that says how it is used.

    Raises:
        ExportError: the method learns nothing.
    """
    write_parameters(predictor, folder / HUB_WEIGHTS, {"format": "pt"})
    atomic_write_json(folder / HUB_CONFIG, hub_config(predictor))
    atomic_write_text(folder / CARD, _card(predictor))
    return f'It is read with mmrl.load("{folder}"), by the commands too'


def _card(predictor: Predictor) -> str:
    text = front_matter(predictor) + card(predictor, HUB_WEIGHTS) + use(predictor)
    backbone = predictor.run.cfg.MODEL.BACKBONE.NAME
    if not os.path.isabs(backbone):
        return text
    return text.replace(for_markdown(backbone), for_markdown(os.path.basename(backbone)))


def hub_config(predictor: Predictor) -> dict[str, Any]:
    """Return the record without what belongs to the machine it was made on."""
    run = predictor.run
    record: dict[str, Any] = {key: run.record[key] for key in SHARED if key in run.record}
    config = json.loads(json.dumps(run.record["config"]))
    config["OUTPUT_DIR"] = config["RESUME"] = config["DATASET"]["ROOT"] = ""
    backbone = config["MODEL"]["BACKBONE"]["NAME"]
    content = {
        "library_name": HUB_LIBRARY,
        **record,
        "config": config,
        "backbone": backbone,
        "classes": list(run.classes),
        "about": dict(run.about),
        "notices": list(run.notices),
    }
    if not os.path.isabs(backbone):
        return content
    return json.loads(json.dumps(content).replace(json.dumps(os.path.dirname(backbone) + os.sep)[1:-1], ""))


def front_matter(predictor: Predictor) -> str:
    """Return the head of the card that hubs index."""
    record = predictor.run.record
    accuracy = record.get("metrics", {}).get("accuracy")
    lines = [
        "---",
        f"library_name: {HUB_LIBRARY}",
        "license: other",
        "pipeline_tag: image-classification",
        f"tags: [few-shot, clip, {for_yaml(record['method'].lower())}]",
    ]
    if accuracy is not None:
        lines += [
            "model-index:",
            f"- name: {for_yaml(record['method'])}",
            "  results:",
            "  - task: {type: image-classification}",
            f"    dataset: {{name: {for_yaml(predictor.run.cfg.DATASET.NAME)}, type: image}}",
            f"    metrics: [{{type: accuracy, value: {accuracy:.2f}}}]",
        ]
    return "\n".join([*lines, "---", "", ""])


def use(predictor: Predictor) -> str:
    """Return the card's end: how to use the folder and how it was made."""
    record, cfg = predictor.run.record, predictor.run.cfg
    command = f"mmrl train {record['method']} {cfg.DATASET.NAME}"
    command += f" --shots {record.get('shots', cfg.DATASET.NUM_SHOTS)} --seed {record.get('seed', cfg.SEED)}"
    return f"""
## Use

```python
import mmrl

model = mmrl.load("this-folder")
print(model.predict("image.jpg"))
```

Made with {for_code(command)}, settings in `{HUB_CONFIG}`.
"""


def push(folder: Path, repository: str, private: bool = False) -> str:
    """Upload the folder to a model hub and return its address.

    Raises:
        ModuleNotFoundError: huggingface_hub is not installed.
        ExportError: the hub refused, or was not reached; the message is its answer.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        if not api.repo_exists(repository):  # after a refusal, exist_ok knows addresses of the default hub only
            api.create_repo(repository, private=private)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload of mmrl export")
    except Exception as error:  # of the package, its network library, or what reads the answers
        raise ExportError(f"{repository} could not be uploaded: {reason_of(error)}. Is HF_TOKEN set?") from error
    return f"{api.endpoint}/{repository}"
