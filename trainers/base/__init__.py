"""What methods are built on: the interface, the trainer, frozen CLIP, prompts, settings, checkpoints."""
