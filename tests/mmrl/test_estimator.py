"""MMRLClassifier as scikit-learn expects a classifier to be."""

from __future__ import annotations

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from clip.pretrained import embedded
from mmrl import MMRLClassifier

BACKBONE = next(iter(embedded()))
SETTINGS = {"DATALOADER.NUM_WORKERS": 0}
CHECKS = (  # those of check_estimator that need no rows of numbers, which are no images
    "check_estimator_cloneable",
    "check_estimator_get_tags_default_keys",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_do_not_raise_errors_in_init_or_set_param",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)


def classifier(**options) -> MMRLClassifier:
    return MMRLClassifier(
        **{"method": "CoOp", "backbone": BACKBONE, "epochs": 1, "device": "cpu", "settings": SETTINGS, **options}
    )


@pytest.mark.parametrize("name", CHECKS)
def test_it_passes_the_checks_of_scikit_learn(name):
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip("not in this version of scikit-learn")
    check("MMRLClassifier", MMRLClassifier())


def test_check_estimator_finds_no_fault():
    results = estimator_checks.check_estimator(MMRLClassifier(), on_fail=None, on_skip=None)
    assert not [result for result in results if result["status"] == "failed"]


@pytest.fixture(scope="module")
def fitted(images, labels) -> MMRLClassifier:
    return classifier(epochs=30, settings={"OPTIM.LR": 0.1, "DATALOADER.NUM_WORKERS": 0}).fit(images, np.array(labels))


def test_it_predicts_labels_of_the_kind_it_was_given(fitted, images, labels):
    assert is_classifier(fitted) and list(fitted.classes_) == ["green", "red"]
    assert fitted.score(images, labels) == 1 and fitted.predict_proba(images).shape == (24, 2)
    numbers = classifier().fit(list(images), [10 if name == "red" else 9 for name in labels])
    assert set(numbers.predict(images)) <= {9, 10} and list(numbers.classes_) == [9, 10]
    assert np.array_equal(
        numbers.predict_proba(images).argmax(axis=1), numbers.classes_.searchsorted(numbers.predict(images))
    )


def test_paths_are_images_too(fitted, folder, images):
    files = np.array([str(folder / "red" / f"{index}.png") for index in range(3)])
    assert np.allclose(fitted.predict_proba(files), fitted.predict_proba(images[:3]), atol=1e-5)


def test_copies_predict_the_same(fitted, images):
    wanted, file = fitted.predict_proba(images[:2]), io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    for again in (joblib.load(file), copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert np.array_equal(again.predict_proba(images[:2]), wanted) and list(again.classes_) == ["green", "red"]
    assert not hasattr(clone(fitted), "model_") and clone(fitted).get_params() == fitted.get_params()


def test_the_same_seed_gives_the_same(images, labels):
    first, second = (classifier().fit(images, labels).predict_proba(images) for _ in range(2))
    assert np.array_equal(first, second)


def test_pipelines_search_and_calibration_take_it(images, labels, fitted):
    labels = np.array(labels)
    assert len(cross_val_score(classifier(), images, labels, cv=2)) == 2
    search = GridSearchCV(classifier(), {"shots": [1, 2]}, cv=2).fit(images, labels)
    assert search.best_params_["shots"] in (1, 2)
    calibrated = CalibratedClassifierCV(classifier(), cv=2).fit(images, labels)
    assert np.allclose(calibrated.predict_proba(images).sum(axis=1), 1)
    behind = make_pipeline(clone(fitted), LogisticRegression()).fit(images, labels)
    assert behind.score(images, labels) == 1


def test_what_is_wrong_is_said(images, labels):
    with pytest.raises(NotFittedError):
        classifier().predict(images)
    with pytest.raises(ValueError, match="24 images and y 1"):
        classifier().fit(images, labels[:1])
    with pytest.raises(ValueError, match="one class only"):
        classifier().fit(images, ["red"] * 24)
    with pytest.raises(ValueError, match="images"):
        classifier().fit(np.zeros((24, 5)), labels)
