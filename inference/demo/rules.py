"""Prediction rules in words, for readers who have not read the papers."""

from __future__ import annotations

RULES = {
    "one rule": "Every class is scored by the similarity of the image to the class name.",
    "fused": "Trained classes: CLIP's class token and the learned representation tokens vote together.",
    "class token": "New classes: the class token alone, which kept what CLIP knew.",
    "zero-shot and cache": "Trained classes: similarity to the class name, and to the training images.",
    "zero-shot": "New classes: similarity to the class name, as CLIP without training.",
    "similarity and linear head": "Trained classes: similarity to the learned prompt, and a linear classifier.",
    "similarity": "New classes: similarity to the learned prompt alone.",
    "zero-shot and Gaussians of images": "Trained classes: similarity to the class name, Gaussians of the images.",
    "zero-shot and Gaussians around texts": "New classes: similarity to the class name, and Gaussians around it.",
    "classifier": "Trained classes: the classifier of the second stage.",
    "tuned text encoder": "New classes: class names, read by the text encoder of the first stage.",
}
"""Rule, as `Method.rules` names it: what it does."""


def in_words(rule: str) -> str:
    """Return what a rule does; its own name where it is a plugin's."""
    return RULES.get(rule, rule)
