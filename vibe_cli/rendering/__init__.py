"""People drawn into their video: the renderer, its light and placement, and the rasterisers to choose from."""
