"""Base of all methods: the interface, the trainer, frozen CLIP, prompts, settings, checkpoints."""
