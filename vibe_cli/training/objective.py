"""The objective of a temporal network's training: its estimates of a batch of clips, and the losses of its system."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vibe_cli.networks.dts_vibe import DtsVibe
from vibe_cli.networks.lifter import KeypointPrediction, Lifter, fit_camera
from vibe_cli.networks.mposer import Mposer
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.sps_net import SpsNet
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.training import losses
from vibe_cli.training.lifting import lifting_loss
from vibe_cli.training.motion_fields import Fields, draw_fields

if TYPE_CHECKING:
    from vibe_cli.training.adversary import Adversary

HIDDEN_KEYPOINTS = (3, 5)  # S section 4.1: 3 to 5 keypoints of a frame are hidden,
HIDDEN_REACH = (25 / 112, 50 / 112)  # each with 25 to 50 pixels of a crop of 224 about it
FLOW_SIDE = 128  # pixels of the flow images where the network does not say


@dataclass(frozen=True)
class Weights:
    """Of the losses beside those of the single frame, in the open recipe; configs.py has the papers'.

    The single frame's losses are means over frames and the papers' are sums, so the papers' numbers mean nothing
    here: these make each loss, as a run begins, about as large beside the joints' as it is there.
    """

    velocity: float = 2.0  # of the frame-to-frame motion of joints; ours
    adversary: float = 0.1  # V 6.1
    prior: float = 0.01  # of MPoser; the paper states none
    feature: float = 1e-3  # S 4.1: ten times that, for a forecast that begins at zero
    camera: float = 1e-5
    hidden_pose: float = 6e-3
    hidden_betas: float = 6e-6
    hidden_camera: float = 1e-5
    flow: float = 4.0  # D eq. 9, of the refinement; the paper states none


class Objective(nn.Module):
    """Observations and labels of clips → loss, its parts, and the estimates."""

    def __init__(
        self,
        network: TemporalNetwork,
        lifter: Lifter,
        body: KeypointBody,
        weights: Weights,
        consecutive: int = 3,
        prior: Mposer | None = None,
    ) -> None:
        super().__init__()
        self.network, self.weights, self.consecutive = network, weights, consecutive
        self._fixed = (lifter, body, prior)  # in a tuple: they are not trained, nor saved with the network

    @property
    def frames(self) -> int:
        """Frames of the clips it wants: more than the window where windows overlap or flow needs a frame before."""
        if self.network.estimates == "middle":
            return self.network.window + self.consecutive - 1
        overlapping = isinstance(self.network, SpsNet)
        return self.network.window + int(overlapping or self.network.flow is not None)

    def forward(
        self,
        seen: KeypointPrediction,
        truth: dict[str, Tensor],
        discriminator: Adversary | None = None,
        refining: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor], MotionOutput]:
        """Observations ((B·T), …) in order, labels (B, T, …); the discriminator that judges, where there is one."""
        lifter, _, prior = self._fixed
        clips = len(truth["betas"])
        features = lifter(seen).unflatten(0, (clips, -1))
        if isinstance(self.network, SpsNet):
            loss, parts, output = self._overlapping(seen, features, truth)
        elif self.network.flow is not None:
            loss, parts, output = self._with_flow(features, truth, refining)
        else:
            output, at = estimate(self.network, features)
            loss, parts = losses.supervise_all(lambda one: self._supervise(one, _frames(truth, at)), output)
        if discriminator is not None:
            parts["adversary"] = discriminator.adversarial_loss(output)
            loss = loss + self.weights.adversary * parts["adversary"]
        if prior is not None:
            parts["prior"] = losses.motion_prior_loss(prior, output)
            loss = loss + self.weights.prior * parts["prior"]
        return loss, {k: v.detach() for k, v in parts.items()}, output

    def _supervise(self, output: MotionOutput, truth: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The single-frame loss of every frame and L1 of joint velocities; labels (B, T, …)."""
        body = self._fixed[1]
        loss, parts = lifting_loss(output, body, {k: v.flatten(0, 1) for k, v in truth.items()})
        if output.betas.shape[1] > 1:
            points = pose_points(body, output)
            parts["velocity"] = (points.diff(dim=1) - truth["points"].diff(dim=1)).abs().sum(-1).mean()
            loss = loss + self.weights.velocity * parts["velocity"]
        return loss, parts

    def _overlapping(
        self, seen: KeypointPrediction, features: Tensor, truth: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor], MotionOutput]:
        """SPS-Net: two segments, a frame apart, and the first again with points hidden (S eqs. 3, 4, 6, 8)."""
        w, lifter = self.weights, self._fixed[0]
        hidden = lifter(hide_points(seen)).unflatten(0, features.shape[:2])[:, :-1]
        three = self.network(torch.cat([features[:, :-1], features[:, 1:], hidden]))
        first, second, clouded = split(three, 3)
        loss, parts = self._supervise(first, _frames(truth, slice(0, -1)))
        parts["same_camera"] = losses.camera_consistency_loss(first.camera[:, 1:], second.camera[:, :-1])
        loss = loss + w.camera * parts["same_camera"]
        if "forecast" in first.extras:
            parts["feature"] = losses.feature_loss(features[:, :-1], first.extras["forecast"])
            loss = loss + w.feature * parts["feature"]
        for name, value in losses.occlusion_losses(clouded, first).items():
            parts[f"hidden_{name}"] = value
            loss = loss + getattr(w, f"hidden_{name}") * value
        return loss, parts, first

    def _with_flow(
        self, features: Tensor, truth: dict[str, Tensor], refining: bool
    ) -> tuple[Tensor, dict[str, Tensor], MotionOutput]:
        """DTS-VIBE: all frames but the first, with the flow to the frame before; the flow loss when refining."""
        network, later = self.network, _frames(truth, slice(1, None))
        side = network.config.flow_side if isinstance(network, DtsVibe) and network.config.flow_side else FLOW_SIDE
        fields = draw_fields(truth["points"], truth["pixels"], side)
        moved = network.encode_flow(fields.images.flatten(0, 1)).unflatten(0, fields.images.shape[:2])
        output = network(torch.cat([features[:, 1:], moved], dim=-1))
        loss, parts = self._supervise(output, later)
        if refining:
            parts["flow"] = self._follow(output, later, fields)
            loss = loss + self.weights.flow * parts["flow"]
        return loss, parts, output

    def _follow(self, output: MotionOutput, truth: dict[str, Tensor], fields: Fields) -> Tensor:
        """The flow loss (D eq. 9) of the estimated joints, laid into the crops by the cameras that lay them best."""
        points, pixels = pose_points(self._fixed[1], output)[:, :, :24], truth["pixels"][:, :, :24]
        camera = fit_camera(points[..., :2], pixels, torch.ones_like(pixels[..., 0]))[:, 1:].detach()
        now, before = losses.project(points[:, 1:], camera), losses.project(points[:, :-1], camera)
        return losses.flow_loss(
            now, before + fields.drift[:, 1:, None], fields.flow()[:, 1:], (now.detach().abs() < 1).all(-1)
        )


def estimate(network: TemporalNetwork, features: Tensor) -> tuple[MotionOutput, slice]:
    """Features (B, T, F) → estimates and the frames they are of; of a middle-frame network, those of every window."""
    if network.estimates == "all":
        return network(features), slice(None)
    windows = features.unfold(1, network.window, 1).movedim(-1, 2)  # (B, n, W, F)
    count = windows.shape[1]
    output = network(windows.flatten(0, 1))

    def in_a_row(one: MotionOutput) -> MotionOutput:
        pose, betas, camera = (x.unflatten(0, (-1, count)).squeeze(2) for x in (one.pose6d, one.betas, one.camera))
        return MotionOutput(
            pose,
            betas,
            camera,
            others={name: in_a_row(other) for name, other in one.others.items()},
        )

    return in_a_row(output), slice(network.window // 2, network.window // 2 + count)


def pose_points(body: KeypointBody, output: MotionOutput) -> Tensor:
    """The keypoints of estimates (B, T, K, 3), metres from the pelvis."""
    shape = output.betas.shape[:2]
    return body(output.rotations.flatten(0, 1), output.betas.flatten(0, 1)).unflatten(0, shape)


def split(output: MotionOutput, parts: int) -> list[MotionOutput]:
    """Estimates of batches that were concatenated → those of each."""
    pose, betas, camera = (x.chunk(parts) for x in (output.pose6d, output.betas, output.camera))
    extras = {name: value.chunk(parts) for name, value in output.extras.items()}
    return [
        MotionOutput(pose[i], betas[i], camera[i], extras={name: value[i] for name, value in extras.items()})
        for i in range(parts)
    ]


def hide_points(seen: KeypointPrediction) -> KeypointPrediction:
    """The same with 3 to 5 points of each frame hidden with all that lies near them (S section 4.1)."""
    frames, count = seen.confidence.shape
    least, most = HIDDEN_KEYPOINTS
    order = torch.rand_like(seen.confidence).argsort(1)[:, :most]
    used = torch.arange(most, device=order.device) < torch.randint(least, most + 1, (frames, 1), device=order.device)
    centres = seen.points.gather(1, order[..., None].expand(-1, -1, 2))
    low, high = HIDDEN_REACH
    reach = low + (high - low) * torch.rand_like(centres)
    near = ((seen.points[:, :, None] - centres[:, None]).abs() < reach[:, None]).all(-1)  # (N, K, most)
    return replace(seen, confidence=seen.confidence * ~(near & used[:, None]).any(-1))


def _frames(truth: dict[str, Tensor], at: slice) -> dict[str, Tensor]:
    return {name: value[:, at] for name, value in truth.items()}
