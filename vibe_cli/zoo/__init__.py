"""The models: found by name, loaded, listed, and written."""
