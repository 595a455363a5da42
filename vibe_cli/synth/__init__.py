"""Synthetic people: endless pictures and clips of dressed bodies in motion, with exact labels."""
