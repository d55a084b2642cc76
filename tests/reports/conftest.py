import json

import pytest

from runs.record import RunRecord


@pytest.fixture
def make(tmp_path):
    """Writes the record of a run below `tmp_path`, as train.py does; fields can be given or, with None, left out."""

    class Maker:
        root = tmp_path / "output"

        def __call__(self, method="MMRL", dataset="EuroSAT", accuracy=50.0, seed=1, part="base", **fields):
            protocol = fields.pop("protocol", "base2new")
            curve, confusion = fields.pop("curve", None), fields.pop("confusion", None)
            status, efficiency = fields.pop("status", "complete"), fields.pop("efficiency", None)
            known = {
                "method": method,
                "dataset": dataset,
                "protocol": protocol,
                "preset": "paper",
                "swept": {},
                "subsample_classes": part if part in ("base", "new") else "all",
                "test_classes": "seen" if part in ("base", "all", "source") else "unseen",
                "shots": 16,
                "seed": seed,
                "backbone": "ViT-B/16",
                "config": {"SEED": seed, "OPTIM": {"MAX_EPOCH": 10}},
                **fields,
            }
            known = {name: value for name, value in known.items() if value is not None}
            place = [protocol, part, dataset, method, known.get("preset", "")]
            place += [known["backbone"], known["shots"], json.dumps(known.get("swept", {})), f"seed{seed}"]
            folder = self.root.joinpath(*(str(word).replace("/", "_").replace("<", "_") for word in place))
            record = RunRecord(folder, known)
            if status == "complete":
                measured = {"efficiency": efficiency} if efficiency else {}
                record.complete({"accuracy": accuracy}, trainable_params=4_992_256, **measured)
            elif status == "failed":
                record.failed(RuntimeError("CUDA out of memory"))
            else:
                record.write()
            for name, content in (("curve.json", curve), ("confusion.json", confusion)):
                if content is not None:
                    (folder / name).write_text(json.dumps(content))
            return folder

        def base2new(self, method, dataset, base, new, **fields):
            """Runs of as many seeds as there are numbers."""
            for part, values in (("base", base), ("new", new)):
                for seed, value in enumerate(values, start=1):
                    self(method, dataset, value, seed, part, **fields)

    return Maker()
