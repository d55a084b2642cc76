"""Shapes of the backbones that benchmarks give random weights."""

VARYING = ("vision_patch_size", "vision_width", "vision_layers", "transformer_width", "embed_dim")
SHAPES = {
    "ViT-B/32": (32, 768, 12, 512, 512),
    "ViT-B/16": (16, 768, 12, 512, 512),
    "ViT-L/14": (14, 1024, 24, 768, 768),
}
COMMON = {"image_resolution": 224, "context_length": 77, "vocab_size": 49408, "transformer_layers": 12}
