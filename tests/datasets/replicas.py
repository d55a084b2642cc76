"""Miniature replicas of the benchmarks' folders in their original formats, with the traps of the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.io import savemat

WNIDS = ("n01440764", "n01443537", "n02085620", "n04356056")  # the last is one of the two called sunglasses
CLASSNAMES = "n01440764 tench\r\nn01443537 goldfish\r\nn02085620 Chihuahua\r\nn04356056 sunglasses\r\n"


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def class_folders(folder: Path, classes: dict[str, int], pattern: str = "{name}_{i:04d}.jpg") -> None:
    for name, count in classes.items():
        touch(*(folder / name / pattern.format(name=name, i=i) for i in range(count)))


def caltech101(root: Path) -> None:
    folder = root / "caltech-101" / "101_ObjectCategories"
    names = ("BACKGROUND_Google", "Faces", "Faces_easy", "Leopards", "Motorbikes", "accordion", "airplanes", "car_side")
    class_folders(folder, dict.fromkeys(names, 10), "image_{i:04d}.jpg")
    touch(folder / ".DS_Store", folder / "accordion" / "Thumbs.db", folder / "accordion" / ".hidden.jpg")


def food101(root: Path) -> None:
    class_folders(root / "food-101" / "images", {"apple_pie": 10, "waffles": 20}, "{i}.jpg")
    touch(root / "food-101" / "meta" / "train.txt", root / "food-101" / "license_agreement.txt")


def dtd(root: Path) -> None:
    class_folders(root / "dtd" / "images", {"banded": 10, "polka-dotted": 10, "zigzagged": 10})
    touch(root / "dtd" / "labels" / "train1.txt", root / "dtd" / "imdb" / "imdb.mat")


def eurosat(root: Path) -> None:
    names = ("AnnualCrop", "Forest", "River", "SeaLake")
    class_folders(root / "eurosat" / "2750", dict.fromkeys(names, 10), "{name}_{i}.jpg")


def oxford_pets(root: Path) -> None:
    folder, lines = root / "oxford_pets", {"trainval": [], "test": []}
    for number, breed in enumerate(("Abyssinian", "american_bulldog", "Egyptian_Mau"), 1):
        for i in range(14):
            stem = f"{breed}_{i}"
            touch(folder / "images" / f"{stem}.jpg")
            lines["trainval" if i < 10 else "test"].append(f"{stem} {number} 1 1")
    touch(folder / "images" / "Abyssinian_100.mat")  # three stray files of the archive
    (folder / "annotations").mkdir()
    (folder / "annotations" / "list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\n")
    for name, content in lines.items():
        (folder / "annotations" / f"{name}.txt").write_text("\n".join(content) + "\n")


def stanford_cars(root: Path) -> None:
    folder = root / "stanford_cars"
    names = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012", "smart fortwo Convertible 2012"]
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array([names], dtype=object)})
    boxes = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    for part, count, file in (
        ("train", 5, folder / "devkit" / "cars_train_annos.mat"),
        ("test", 2, folder / "cars_test_annos_withlabels.mat"),
    ):
        entries = [(39, label, f"{i:05d}.jpg") for i, label in enumerate([3, 1, 2] * count, 1)]
        touch(*(folder / f"cars_{part}" / name for _, _, name in entries))
        savemat(file, {"annotations": np.array([entries], dtype=boxes)})


def oxford_flowers(root: Path) -> None:
    folder, labels = root / "oxford_flowers", [2] * 10 + [1] * 10 + [3] * 10  # not in the order of labels
    touch(*(folder / "jpg" / f"image_{i:05d}.jpg" for i in range(1, 31)))
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    savemat(folder / "setid.mat", {"trnid": np.array([[1]])})
    names = {"1": "pink primrose", "2": "hard-leaved pocket orchid", "3": "canterbury bells"}
    (folder / "cat_to_name.json").write_text(json.dumps({key: names[key] for key in ("3", "1", "2")}))


def fgvc_aircraft(root: Path) -> None:
    folder, variants = root / "fgvc_aircraft", ["707-320", "BAE 146-200", "F/A-18", "Hawk T1"]
    folder.mkdir()
    (folder / "variants.txt").write_text("\n".join(variants) + "\n")
    for offset, part in enumerate(("train", "val", "test")):
        rows = [(f"{offset}{label}{i:05d}", name) for label, name in enumerate(variants) for i in range(5)]
        touch(*(folder / "images" / f"{stem}.jpg" for stem, _ in rows))
        (folder / f"images_variant_{part}.txt").write_text("".join(f"{stem} {name}\n" for stem, name in rows))


def sun397(root: Path) -> None:
    folder = root / "sun397"
    places = ["/a/abbey", "/a/apartment_building/outdoor", "/c/car_interior/backseat", "/c/car_interior/frontseat"]
    train, test = ([f"{p}/sun_{k}{i}.jpg" for p in places for i in range(10)] for k in "ab")
    touch(*(folder / "SUN397" / path.lstrip("/") for path in train + test), folder / "SUN397" / "README.txt")
    for name, content in (("ClassName", places), ("Training_01", train), ("Testing_01", test)):
        (folder / f"{name}.txt").write_text("\n".join(content) + "\n")


def ucf101(root: Path) -> None:
    folder = root / "ucf101"
    actions = {"ApplyEyeMakeup": "Apply_Eye_Makeup", "HandstandPushups": "Handstand_Pushups", "YoYo": "Yo_Yo"}
    lists = {"trainlist01": [], "testlist01": []}
    for number, (action, place) in enumerate(actions.items(), 1):
        stem = action.replace("HandstandPushups", "HandStandPushups")  # the files of this one have another capital
        for i in range(14):
            video = f"v_{stem}_g{i:02d}_c01"
            touch(folder / "UCF-101-midframes" / place / f"{video}.jpg")
            if i < 10:
                lists["trainlist01"].append(f"{action}/{video}.avi {number}")
            else:
                lists["testlist01"].append(f"{action}/{video}.avi")
    (folder / "ucfTrainTestlist").mkdir()
    lists["classInd"] = [f"{number} {action}" for number, action in enumerate(actions, 1)]
    for name, content in lists.items():
        (folder / "ucfTrainTestlist" / f"{name}.txt").write_text("\r\n".join(content) + "\r\n")


def imagenet(root: Path) -> None:
    for part, count in (("train", 20), ("val", 3)):
        class_folders(root / "imagenet" / "images" / part, dict.fromkeys(reversed(WNIDS), count), "{name}_{i}.JPEG")
    touch(root / "imagenet" / "images" / "train" / "README.txt", root / "imagenet" / "images" / "val" / "valprep.sh")
    (root / "imagenet" / "classnames.txt").write_bytes(CLASSNAMES.encode())


def imagenetv2(root: Path) -> None:
    folder = root / "imagenetv2"
    class_folders(folder / "imagenetv2-matched-frequency-format-val", {str(i): 1 for i in range(1000)}, "{i}.jpeg")
    names = "".join(f"n{100 * i:08d} name {i}\n" for i in range(1000))
    (folder / "classnames.txt").write_text(names)


def imagenet_sketch(root: Path) -> None:
    class_folders(root / "imagenet-sketch" / "images", dict.fromkeys(WNIDS, 5), "sketch_{i}.JPEG")
    (root / "imagenet-sketch" / "classnames.txt").write_text(CLASSNAMES)


def imagenet_a(root: Path) -> None:
    folder = root / "imagenet-adversarial"
    class_folders(folder / "imagenet-a", {WNIDS[1]: 3, WNIDS[3]: 4}, "0.00{i}_x _ y_0.5.jpg")
    touch(folder / "imagenet-a" / "README.txt")
    (folder / "classnames.txt").write_text(CLASSNAMES)


def imagenet_r(root: Path) -> None:
    class_folders(root / "imagenet-rendition" / "imagenet-r", {WNIDS[0]: 3, WNIDS[2]: 4}, "art_{i}.jpg")
    touch(root / "imagenet-rendition" / "imagenet-r" / "README.txt")
    (root / "imagenet").mkdir()  # this one's class names lie with ImageNet
    (root / "imagenet" / "classnames.txt").write_text(CLASSNAMES)
