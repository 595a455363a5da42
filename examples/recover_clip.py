"""Recover everybody's motion in a clip from Python, without the command line.

python examples/recover_clip.py examples/dance.mp4 dance.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from vibe_cli import Result, load_model, recover
from vibe_cli.body import joints_of
from vibe_cli.geometry.skeleton import JOINT, JOINTS_49

LEFT_WRIST = JOINTS_49.index(JOINT["l_wrist"])


def main(clip: Path, target: Path) -> Result:
    """Recover, save, and say how high each person's left wrist gets above the pelvis."""
    model = load_model()  # the shipped networks and the open body
    result = recover(clip, model)  # writes nothing
    result.save(target)
    for person in result.people:
        joints = joints_of(person, model.body)  # (T, 49, 3) metres from the pelvis, y down
        highest = int(np.argmin(joints[:, LEFT_WRIST, 1]))
        seconds = result.video.times[person.frames[highest]]
        print(
            f"person {person.id}: {len(person)} frames; the left wrist is highest, "
            f"{-joints[highest, LEFT_WRIST, 1]:.2f} m above the pelvis, at {seconds:.2f} s"
        )
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
