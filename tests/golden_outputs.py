"""Outputs of a forward pass that golden cases store, from the real methods, under the stored names."""

from __future__ import annotations

import torch

from golden_cases import FEATURES, LOGITS, Case, close
from trainers.base.method import l2_normalize


@torch.no_grad()
def outputs(trainer, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Features and logits of images (B, 3, S, S) and classes, as far as the method computes them."""
    method = trainer.method
    if hasattr(method, "space"):
        return mmrl_outputs(method, images)
    f_0, w = method.clip.image_features(images), method.class_features()
    seen = torch.tensor(trainer.cfg.TEST.CLASSES == "seen")
    found = {"image_features": f_0, "logits": method.logits(images, w, seen)}
    if hasattr(method, "conditional_features"):  # features of the classes for each image
        return found | {"text_features": method.conditional_features(f_0)}
    found |= {"image_features": method.image_features(images), "text_features": w}
    if hasattr(method, "adapter_image"):  # CoPrompt's outputs before the adapters
        found["image_features_raw"] = super(type(method), method).image_output(images)
        found["text_features_raw"] = super(type(method), method).class_output()
    if hasattr(method, "film_image"):  # DePT's similarities, before they are mixed with the head's logits
        found["similarity"] = method.similarity(found["image_features"], w)
    if hasattr(method, "w_0"):
        found |= {
            "fixed_embeddings": method.w_0,
            "zs_image_features": f_0,
            "zs_logits": method.similarity(f_0, method.w_0),
        }
    return found


def mmrl_outputs(method, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Both features, both logits, and the projected tokens."""
    found: dict[str, torch.Tensor] = {}
    shared = method.forward_below_tokens(images)
    f_c, f_r = method.image_features(shared)
    w = method.class_features()
    rows = method.clip.visual.forward_from(shared, method.deep_tokens(method.image_aligner, method.image_layers))
    found["image_features_raw"] = rows[:, 0] @ method.clip.visual.proj
    found["image_features_rep_raw"] = rows[:, 1:].mean(1) @ method.rep_projection()
    text_tokens = method.deep_tokens(method.text_aligner, method.text_layers)
    found["text_features_raw"] = method.clip.text.forward_from(method.text_start, text_tokens)
    found |= {"image_features": f_c, "text_features": w}
    found["image_features_clip"] = l2_normalize(method.clip.visual(images))
    found |= {"logits": 100 * f_c @ w.t(), "logits_rep": 100 * f_r @ w.t()}
    alpha = method.settings.ALPHA
    found["logits_fusion"] = alpha * found["logits"] + (1 - alpha) * found["logits_rep"]
    for kind, maps, layers in (
        ("visual", method.image_aligner, method.image_layers),
        ("text", method.text_aligner, method.text_layers),
    ):
        source = method.deep_tokens(maps, layers)
        for i, layer in enumerate(layers):
            found[f"rep_tokens_{kind}/{i}"] = source.tokens(layer, None)
    return found


def compare_outputs(trainer, case: Case, images: torch.Tensor, expected: dict[str, torch.Tensor], where: str) -> None:
    """Hold the method to each of the stored arrays; also those stored before normalization."""
    seen = outputs(trainer, images)
    if where == "train0" and "similarity" in seen:
        seen["logits"] = seen["similarity"]
    for name, value in expected.items():
        raw = name.endswith("_raw") and name not in seen
        actual, value = (seen[name.removesuffix("_raw")], l2_normalize(value)) if raw else (seen[name], value)
        usual = LOGITS if "logits" in name else 10 * FEATURES if name.endswith("_raw") and not raw else FEATURES
        limit = case.limit(usual, f"{where}/{name}", relative=raw)
        close(actual, value, limit, f"{case.name} {where}/{name}")


def compare_predictions(trainer, case: Case, group: str) -> None:
    """Everything stored below `group`, and the published prediction through the trainer's own inference."""
    images, expected = case["test/images"], case.group(group)
    trainer.set_model_mode("eval")
    predictions = {name: expected.pop(name) for name in ("pred_base", "pred_new") if name in expected}
    compare_outputs(trainer, case, images, expected, group)
    rule = "pred_base" if trainer.cfg.TEST.CLASSES == "seen" else "pred_new"
    name = rule if rule in predictions else "logits"
    limit = case.limit(LOGITS, f"{group}/{name}")
    expected |= predictions
    close(trainer.model_inference(images), expected[name], limit, f"{case.name} {group} prediction")
