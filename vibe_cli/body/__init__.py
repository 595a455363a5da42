"""Bodies: joint rotations and shape in, mesh and joints out."""

from vibe_cli.body.body_models import Body, joints_of, load_body, vertices_of

__all__ = ["Body", "joints_of", "load_body", "vertices_of"]
