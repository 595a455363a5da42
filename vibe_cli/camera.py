"""The cameras under the name that scripts of users import; `vibe_cli.geometry.camera` holds them."""

from vibe_cli.geometry.camera import (
    crop_points_to_image,
    crop_to_image_camera,
    default_intrinsics,
    image_points_to_crop,
    metric_translation,
    project_image,
)

__all__ = [
    "crop_points_to_image",
    "crop_to_image_camera",
    "default_intrinsics",
    "image_points_to_crop",
    "metric_translation",
    "project_image",
]
