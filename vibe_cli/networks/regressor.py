"""The iterative regressor of HMR and SPIN: features to pose, shape and camera in a few corrections."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vibe_cli.networks.outputs import BETAS_SIZE, CAMERA_SIZE, JOINTS, MotionOutput
from vibe_cli.networks.temporal import TemporalNetwork

POSE6D_SIZE = 6 * JOINTS
IDENTITY_6D = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
INITIAL_CAMERA = (0.9, 0.0, 0.0)


@dataclass(frozen=True)
class RegressorConfig:
    """Shape of a regressor; the defaults are the published one's."""

    features: int = 2048  # F, width of the features
    hidden: int = 1024  # width of the two hidden layers
    iterations: int = 3  # rounds of error feedback
    dropout: float = 0.5  # between the hidden layers, in training


class WithRegressor:
    """A configuration that holds its regressors' settings among its own."""

    features: int
    regressor_hidden: int
    iterations: int
    dropout: float

    @property
    def regressor(self) -> RegressorConfig:
        """The regressors' part."""
        return RegressorConfig(self.features, self.regressor_hidden, self.iterations, self.dropout)


class Regressor(TemporalNetwork):
    """Iterative error feedback (Carreira et al. 2016) from the mean parameters.

    Each round sees the features and the current estimate, and adds a correction to the estimate. There is no
    activation between the two hidden layers: the published weights were trained that way.
    """

    config: RegressorConfig
    window = 1
    init_pose: Tensor  # (1, 144) six numbers a joint
    init_shape: Tensor  # (1, 10)
    init_cam: Tensor  # (1, 3)

    def __init__(self, config: RegressorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RegressorConfig()
        self.features, hidden = config.features, config.hidden
        self.fc1 = nn.Linear(config.features + POSE6D_SIZE + BETAS_SIZE + CAMERA_SIZE, hidden)
        self.drop1 = nn.Dropout(config.dropout)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop2 = nn.Dropout(config.dropout)
        self.decpose = nn.Linear(hidden, POSE6D_SIZE)
        self.decshape = nn.Linear(hidden, BETAS_SIZE)
        self.deccam = nn.Linear(hidden, CAMERA_SIZE)
        for head in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(head.weight, gain=0.01)  # untrained, it stays near the mean
            nn.init.zeros_(head.bias)
        self.register_buffer("init_pose", torch.tensor(IDENTITY_6D * JOINTS)[None])
        self.register_buffer("init_shape", torch.zeros(1, BETAS_SIZE))
        self.register_buffer("init_cam", torch.tensor(INITIAL_CAMERA)[None])

    def forward(self, features: Tensor) -> MotionOutput:
        """Features (B, T, F) → pose, shape and camera of every frame, each frame by itself."""
        lead = features.shape[:-1]
        pose = self.init_pose.expand(*lead, -1)
        shape = self.init_shape.expand(*lead, -1)
        camera = self.init_cam.expand(*lead, -1)
        for _ in range(self.config.iterations):
            x = torch.cat([features, pose, shape, camera], dim=-1)
            x = self.drop2(self.fc2(self.drop1(self.fc1(x))))
            pose = pose + self.decpose(x)
            shape = shape + self.decshape(x)
            camera = camera + self.deccam(x)
        return MotionOutput(pose6d=pose.unflatten(-1, (JOINTS, 6)), betas=shape, camera=camera)
