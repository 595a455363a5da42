"""The losses of the papers: VIBE (V), TCMR (T), DTS-VIBE (D) and SPS-Net (S), each with its equation.

Letters: B sequences, T frames, J joints. An equation sums over a sequence's frames; a loss here is that sum, averaged
over the sequences that have labels for it. Labels that are missing are masked: `valid` holds 1 where a label counts
and 0 where it does not, and what is masked has no gradient, whatever stands there.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from vibe_cli.device import exactly
from vibe_cli.geometry.rotations import project_to_rotation, sixd_from_matrix
from vibe_cli.networks.mposer import Mposer, MposerOutput
from vibe_cli.networks.outputs import MotionOutput


def norm(x: Tensor) -> Tensor:
    """‖x‖₂ over the last dimension; its gradient at zero is zero and not infinite."""
    squared = x.square().sum(-1)
    nonzero = squared > 0
    return torch.where(nonzero, squared, torch.ones_like(squared)).sqrt() * nonzero


def sequence_loss(estimate: Tensor, truth: Tensor, valid: Tensor | None = None, squared: bool = False) -> Tensor:
    """Σ_t ‖x_t − x̂_t‖₂, or of its squares; the form of V eq. 1, S eq. 4 (norms) and D eqs. 4 to 6 (squares).

    Estimate and truth (B, T, …); `valid` (B, T) or (B, T, J, …), the leading dimensions of both. Averaged over the
    sequences with any valid label; 0 where there is none.
    """
    weight = torch.ones(estimate.shape[:2], device=estimate.device) if valid is None else valid.to(estimate.dtype)
    wide = weight.reshape(*weight.shape, *[1] * (estimate.ndim - weight.ndim))
    difference = torch.where(wide > 0, estimate - truth, torch.zeros_like(estimate)) * wide
    frames = difference.flatten(2)
    distance = frames.square().sum(-1) if squared else norm(frames)
    labelled = (weight.flatten(1) > 0).any(1).sum().clamp_min(1)
    return distance.sum() / labelled


def project(points: Tensor, camera: Tensor) -> Tensor:
    """Weak perspective: points (…, J, 3) metres, camera (…, 3) → (…, J, 2) in −1..1 of the crop, s·(ΠX + t)."""
    return camera[..., None, :1] * (points[..., :2] + camera[..., None, 1:])


def joints3d_loss(points: Tensor, truth: Tensor, valid: Tensor | None = None, squared: bool = False) -> Tensor:
    """L_3D = Σ_t ‖X_t − X̂_t‖₂ (V eq. 1, S eq. 4; squared: D eq. 4); (B, T, J, 3) metres from the pelvis."""
    return sequence_loss(points, truth, valid, squared)


@exactly
def aligned(points: Tensor, truth: Tensor) -> Tensor:
    """Points (N, K, 3) after the similarity that lays each frame's best, by least squares, on its truth (N, K, 3).

    As PA-MPJPE aligns them (Umeyama 1991); the turn and scale found are held, not differentiated.
    """
    centred, wanted = points - points.mean(1, keepdim=True), truth - truth.mean(1, keepdim=True)
    with torch.no_grad():
        moments = (centred.mT @ wanted).double()
        turn = project_to_rotation(moments)
        scale = (turn * moments).sum((1, 2)) / centred.double().square().sum((1, 2)).clamp_min(1e-9)
        similarity = (scale[:, None, None] * turn).to(points.dtype)
    return centred @ similarity + truth.mean(1, keepdim=True)


def joints2d_loss(
    points: Tensor, camera: Tensor, truth: Tensor, valid: Tensor | None = None, squared: bool = False
) -> Tensor:
    """L_2D = Σ_t ‖x_t − x̂_t‖₂ with x̂ = s·(ΠX̂ + t) (V eq. 1, S eq. 4; squared: D eq. 5).

    Points (B, T, J, 3), camera (B, T, 3), truth (B, T, J, 2) in −1..1 of the crop.
    """
    return sequence_loss(project(points, camera), truth, valid, squared)


def pose_loss(rotations: Tensor, truth: Tensor, valid: Tensor | None = None, squared: bool = False) -> Tensor:
    """The pose's part of L_SMPL, Σ_t ‖θ_t − θ̂_t‖₂ (V eq. 1, S eq. 4; squared: D eq. 6).

    Of rotation matrices (B, T, 24, 3, 3), as two axis-angle vectors may mean the same rotation and be far apart.
    """
    return sequence_loss(rotations.flatten(3), truth.flatten(3), valid, squared)


def shape_loss(betas: Tensor, truth: Tensor, valid: Tensor | None = None, squared: bool = False) -> Tensor:
    """The shape's part of L_SMPL, ‖β − β̂‖₂ (V eq. 1, S eq. 4): β̂ is the mean over a sequence's frames.

    Betas (B, T, 10), truth (B, T, 10), `valid` (B, T); squared: Σ_t ‖β_t − β̂_t‖² of every frame (D eq. 6).
    """
    if squared:
        return sequence_loss(betas, truth, valid, squared)
    known = None if valid is None else valid.amax(1, keepdim=True)
    return sequence_loss(betas.mean(1, keepdim=True), truth.mean(1, keepdim=True), known)


def generator_loss(fake: Tensor) -> Tensor:
    """L_adv = E[(D(Θ̂) − 1)²] (V eq. 2, D eq. 7); scores (B, 1) of what was estimated."""
    return (fake - 1).square().mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """L_D = E[(D(Θ) − 1)²] + E[D(Θ̂)²] (V eq. 3, D eq. 8); scores (B, 1) of real and of estimated motions."""
    return (real - 1).square().mean() + fake.square().mean()


def absolute_generator_loss(fake: Tensor) -> Tensor:
    """E[‖D(Θ̂) − 1‖₂], what deceives the discriminator of S eq. 7; scores (B, 1)."""
    return (fake - 1).abs().mean()


def absolute_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """L_adv = E[‖D(Θ) − 1‖₂] + E[‖D(Θ̂)‖₂] (S eq. 7), which SPS-Net's discriminator minimises; scores (B, 1)."""
    return (real - 1).abs().mean() + fake.abs().mean()


def prior_loss(mean: Tensor) -> Tensor:
    """L_MPoser = ‖z‖₂ (V section 3.2), of a sequence's latent means (B, T, Z); averaged over the sequences."""
    return norm(mean.flatten(1)).mean()


def motion_prior_loss(prior: Mposer, output: MotionOutput) -> Tensor:
    """L_MPoser of estimated motions (B, T, …), as the prior learned to read them: true rotations, not the root's."""
    return prior_loss(prior.encode(sixd_from_matrix(output.rotations[:, :, 1:]))[0])


def mposer_loss(output: MposerOutput, truth: Tensor, divergence: float) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of MPoser: E‖R − R̂‖²_F a joint + `divergence` · KL(q(z) ‖ N(0, 1)) a frame.

    Truth (B, T, J, 3, 3). A sequential VAE's bound (V section 3.2 and its reference 33); the weight is ours.
    """
    parts = {
        "rebuilt": (output.rotations - truth).square().sum((-1, -2)).mean(),
        "divergence": output.divergence.mean(),
    }
    return parts["rebuilt"] + divergence * parts["divergence"], parts


def supervise_all(
    loss_of: Callable[[MotionOutput], tuple[Tensor, dict[str, Tensor]]], output: MotionOutput
) -> tuple[Tensor, dict[str, Tensor]]:
    """T section 3.4: Θ_past, Θ_future and Θ_int are all supervised with the current frame; the parts are Θ_int's."""
    total, parts = loss_of(output)
    for name, other in output.others.items():
        more, _ = loss_of(other)
        total, parts = total + more, {**parts, name: more.detach()}
    return total, parts


def sample_flow(flow: Tensor, points: Tensor) -> Tensor:
    """The flow at points: flow (N, 2, S, S), points (N, J, 2), both in −1..1 of the crop → (N, J, 2), bilinear."""
    return grid_sample(flow, points[:, None], align_corners=False, padding_mode="border")[:, :, 0].mT


def flow_loss(now: Tensor, before: Tensor, flow: Tensor, valid: Tensor | None = None) -> Tensor:
    """L_flow = Σ_{i≥2} ‖X_{i−1} − X^f_{i−1}‖² (D eq. 9), X^f_{i−1} being X_i traced back along the flow o_i.

    `now` (B, T, J, 2): where the estimated joints of frames 2 … are in their crops; `before` (B, T, J, 2): those of
    the frames before, in the same crops; flow (B, T, 2, S, S) from each to the frame before; all in −1..1.
    """
    along = sample_flow(flow.flatten(0, 1), now.detach().flatten(0, 1)).unflatten(0, now.shape[:2])
    return sequence_loss(now + along, before, valid, squared=True)


def feature_loss(features: Tensor, forecast: Tensor) -> Tensor:
    """L_feature = Σ ‖f_{i+1} − f'_{i+1}‖₂ (S eq. 3); features (B, T, F), forecast (B, T − 1, F) of frames 2 … T."""
    return sequence_loss(forecast, features[:, 1:])


@exactly
def soft_silhouette(points: Tensor, size: int, spread: float) -> Tensor:
    """Where a body covers the crop: points of its surface (N, V, 2) in −1..1 → (N, size, size) in 0..1.

    1 − exp(−Σ_v exp(−d²/2σ²)) for a pixel at distance d of point v, σ = `spread`: the chance that some point covers
    it, if each covers it by itself (Poisson). Differentiable everywhere, full where points are denser than σ.
    """
    grid = (torch.arange(size, device=points.device) + 0.5) * (2 / size) - 1
    across = torch.exp(-(grid - points[..., :1]).square() / (2 * spread**2))  # (N, V, size)
    down = torch.exp(-(grid - points[..., 1:]).square() / (2 * spread**2))
    return -torch.expm1(-(down.mT @ across))


def mask_loss(silhouette: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """L_mask = −Σ_i m_i · log(m̂_i) (S eq. 5); both (B, T, S, S) in 0..1, `valid` (B, T).

    Averaged over a mask's pixels, so that its size does not show in it. As the equation has it, only what the
    projection fails to cover costs anything.
    """
    missed = -(mask * silhouette.clamp_min(1e-6).log()).mean((-1, -2))
    weight = torch.ones_like(missed) if valid is None else valid.to(missed.dtype)
    return (missed * weight).sum() / (weight > 0).any(1).sum().clamp_min(1)


def camera_consistency_loss(first: Tensor, second: Tensor) -> Tensor:
    """L_camera = Σ ‖R_cam(F_i^{S1}) − R_cam(F_i^{S2})‖₂ (S eq. 6), cameras (B, T, 3) of the same frames as two
    segments that overlap there see them."""
    return sequence_loss(first, second)


def occlusion_losses(hidden: MotionOutput, clear: MotionOutput) -> dict[str, Tensor]:
    """The parts of L_param (S eq. 8): pose, betas and camera of the occluded frames against those of the clear ones.

    ‖β̂ − β̂'‖₂ + Σ_i ‖θ̂_i − θ̂'_i‖₂ + Σ_i ‖R_cam(F_i) − R_cam(F'_i)‖₂, each weighted by itself; what was estimated of
    the clear frames teaches and is not taught.
    """
    return {
        "pose": pose_loss(hidden.rotations, clear.rotations.detach()),
        "betas": shape_loss(hidden.betas, clear.betas.detach()),
        "camera": sequence_loss(hidden.camera, clear.camera.detach()),
    }
