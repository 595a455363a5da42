"""The shipped models as package data: folders of CARD.md, config.yaml and weights.safetensors; no code."""
