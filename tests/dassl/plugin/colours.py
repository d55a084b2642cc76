"""A dataset file as CoOp's users write them: split file, few-shot cache, base and new classes."""

import math
import os
import pickle

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.utils import listdir_nohidden, mkdir_if_missing, read_json, write_json


@DATASET_REGISTRY.register()
class Colours(DatasetBase):
    dataset_dir = "colours"

    def __init__(self, cfg):
        root = os.path.abspath(os.path.expanduser(cfg.DATASET.ROOT))
        self.dataset_dir = os.path.join(root, self.dataset_dir)
        self.image_dir = os.path.join(self.dataset_dir, "images")
        self.split_path = os.path.join(self.dataset_dir, "split.json")
        self.split_fewshot_dir = os.path.join(self.dataset_dir, "split_fewshot")
        mkdir_if_missing(self.split_fewshot_dir)

        if not os.path.exists(self.split_path):
            write_json(self.find_images(), self.split_path)
        train, val, test = self.read_split()

        num_shots = cfg.DATASET.NUM_SHOTS
        if num_shots >= 1:
            name = f"shot_{num_shots}-seed_{cfg.SEED}.pkl"
            preprocessed = os.path.join(self.split_fewshot_dir, name)
            if os.path.exists(preprocessed):
                print(f"Loading preprocessed few-shot data from {preprocessed}")
                with open(preprocessed, "rb") as file:
                    data = pickle.load(file)
                train, val = data["train"], data["val"]
            else:
                train = self.generate_fewshot_dataset(train, num_shots=num_shots)
                val = self.generate_fewshot_dataset(val, num_shots=min(num_shots, 4))
                with open(preprocessed, "wb") as file:
                    pickle.dump({"train": train, "val": val}, file, protocol=pickle.HIGHEST_PROTOCOL)

        train, val, test = self.subsample(train, val, test, subset=cfg.DATASET.SUBSAMPLE_CLASSES)
        super().__init__(train_x=train, val=val, test=test)

    def find_images(self):
        split = {"train": [], "val": [], "test": []}
        for label, classname in enumerate(listdir_nohidden(self.image_dir, sort=True)):
            for name in listdir_nohidden(os.path.join(self.image_dir, classname), sort=True):
                split[name.split("_")[0]].append([f"{classname}/{name}", label, classname])
        return split

    def read_split(self):
        split = read_json(self.split_path)
        return [
            [Datum(impath=os.path.join(self.image_dir, p), label=y, classname=c) for p, y, c in split[part]]
            for part in ("train", "val", "test")
        ]

    @staticmethod
    def subsample(*lists, subset="all"):
        if subset == "all":
            return lists
        labels = sorted({item.label for item in lists[0]})
        middle = math.ceil(len(labels) / 2)
        chosen = labels[:middle] if subset == "base" else labels[middle:]
        return [
            [
                Datum(impath=i.impath, label=chosen.index(i.label), classname=i.classname)
                for i in items
                if i.label in chosen
            ]
            for items in lists
        ]
