"""Read what `vibe` wrote with nothing of `vibe`: result.npz by numpy, vibe_output.pkl by joblib.

python examples/read_result.py output/dance/result.npz
python examples/read_result.py output/dance/vibe_output.pkl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

LEFT_KNEE = 4  # of SMPL's 24 joints


def read_npz(path: Path) -> dict[int, np.ndarray]:
    """Person id → pose (T, 24, 3), axis-angle in radians."""
    with np.load(path) as file:
        header = json.loads(str(file["header"]))
        return {number: file[f"person{number}/pose"] for number in header["people"]}


def read_pkl(path: Path) -> dict[int, np.ndarray]:
    """The same from VIBE's layout; load such files only from people whom you trust."""
    import joblib

    return {number: person["pose"].reshape(-1, 24, 3) for number, person in joblib.load(path).items()}


def main(path: Path) -> None:
    """Say how far each person bends the left knee."""
    for number, pose in (read_pkl if path.suffix == ".pkl" else read_npz)(path).items():
        bend = np.degrees(np.linalg.norm(pose[:, LEFT_KNEE], axis=1))
        print(f"person {number}: {len(pose)} frames, the left knee bends {bend.min():.0f} to {bend.max():.0f} degrees")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
