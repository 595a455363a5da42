"""The joints under the name that scripts of users import; `vibe_cli.geometry.skeleton` holds them."""

from vibe_cli.geometry.skeleton import EVALUATION_14, JOINT_NAMES, JOINTS_49, PARENTS, POINT_NAMES

__all__ = ["EVALUATION_14", "JOINTS_49", "JOINT_NAMES", "PARENTS", "POINT_NAMES"]
