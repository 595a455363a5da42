"""What `vibe_cli.render` is made of: light, placement in the image, and the rasterisers to choose from."""
