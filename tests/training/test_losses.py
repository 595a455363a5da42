"""The papers' losses: cases worked out by hand, masks, and gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vibe_cli.evaluation.metrics import procrustes
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.networks.mposer import Mposer, MposerConfig, MposerOutput
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.training import losses
from vibe_cli.training.loop import Loop, Schedule

EYE = torch.eye(3).expand(24, 3, 3)


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape)


def test_a_sequence_costs_the_sum_of_its_frames_norms() -> None:
    truth, estimate = torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 2, 3)
    estimate[0, 0, 0, 0], estimate[0, 0, 1, 1] = 3, 4  # frame 0: norm 5 over both joints
    estimate[0, 1, 0, 2] = 2  # frame 1: norm 2
    assert losses.joints3d_loss(estimate, truth).item() == 7
    assert losses.joints3d_loss(estimate, truth, squared=True).item() == 29
    assert losses.joints3d_loss(estimate.repeat(4, 1, 1, 1), truth.repeat(4, 1, 1, 1)).item() == 7


def test_what_is_masked_costs_nothing_whatever_stands_there() -> None:
    truth, estimate = torch.zeros(2, 2, 2, 3), torch.zeros(2, 2, 2, 3)
    estimate[0, 0, 0, 0] = 3
    truth[0, 0, 1], truth[1] = float("nan"), float("nan")
    valid = torch.ones(2, 2, 2)
    valid[0, 0, 1], valid[1] = 0, 0
    estimate.requires_grad_()
    loss = losses.joints3d_loss(estimate, truth, valid)
    loss.backward()
    assert loss.item() == 3  # sequence 1 has no label, and does not dilute it
    assert estimate.grad[0, 0, 0, 0] == 1 and estimate.grad.abs().sum() == 1
    assert losses.joints3d_loss(estimate, truth, torch.zeros(2, 2, 2)).item() == 0


def test_a_perfect_estimate_has_a_gradient_of_zero() -> None:
    estimate = torch.zeros(1, 2, 2, 3, requires_grad=True)
    losses.joints3d_loss(estimate, torch.zeros(1, 2, 2, 3)).backward()
    assert torch.equal(estimate.grad, torch.zeros_like(estimate))


def test_2d_joints_are_compared_where_the_camera_lays_them() -> None:
    points = torch.tensor([[[[1.0, 2.0, 9.0]]]])
    camera = torch.tensor([[[0.5, 1.0, -1.0]]])
    assert losses.project(points, camera).tolist() == [[[[1.0, 0.5]]]]
    truth = torch.tensor([[[[1.0, 0.0]]]])
    assert losses.joints2d_loss(points, camera, truth).item() == 0.5
    assert losses.joints2d_loss(points, camera, truth, squared=True).item() == 0.25


def test_pose_and_shape() -> None:
    turned = EYE.clone()
    turned[3] = torch.tensor([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]])  # half a turn: two elements differ by 2
    assert losses.pose_loss(turned[None, None], EYE[None, None]).item() == pytest.approx(math.sqrt(8))
    assert losses.pose_loss(turned[None, None], EYE[None, None], squared=True).item() == pytest.approx(8)
    betas = torch.zeros(1, 2, 10)
    betas[0, 0, 0], betas[0, 1, 0] = 1, 3
    assert losses.shape_loss(betas, torch.zeros(1, 2, 10)).item() == 2  # of the mean
    assert losses.shape_loss(betas, torch.zeros(1, 2, 10), squared=True).item() == 10  # of every frame
    assert losses.shape_loss(betas, torch.zeros(1, 2, 10), torch.zeros(1, 2)).item() == 0


def test_adversarial_losses() -> None:
    real, fake = torch.tensor([[1.0], [0.5]]), torch.tensor([[0.0], [0.4]])
    assert losses.generator_loss(fake).item() == pytest.approx((1 + 0.36) / 2)
    assert losses.discriminator_loss(real, fake).item() == pytest.approx(0.25 / 2 + 0.16 / 2)
    assert losses.absolute_generator_loss(fake).item() == pytest.approx((1 + 0.6) / 2)
    assert losses.absolute_discriminator_loss(real, fake).item() == pytest.approx(0.25 + 0.2)


def test_the_prior_and_what_it_learns_from() -> None:
    assert losses.prior_loss(torch.tensor([[[3.0], [4.0]], [[0.0], [1.0]]])).item() == 3  # (5 + 1) / 2
    sixd = torch.tensor([1.0, 0, 0, 1, 0, 0]).expand(1, 1, 2, 6)
    rebuilt = MposerOutput(sixd, mean=torch.full((1, 1, 2), 2.0), log_variance=torch.zeros(1, 1, 2))
    truth = torch.eye(3).repeat(1, 1, 2, 1, 1)
    truth[0, 0, 0] = torch.tensor([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    total, parts = losses.mposer_loss(rebuilt, truth, divergence=0.1)
    assert parts["rebuilt"].item() == pytest.approx(4)  # 8 of one joint in two
    assert parts["divergence"].item() == pytest.approx(4)  # ½·2² in each of two dimensions
    assert total.item() == pytest.approx(4.4)


def test_the_prior_of_a_motion_hangs_on_its_rotations_alone() -> None:
    torch.manual_seed(0)
    prior, pose = Mposer(MposerConfig(hidden=8, layers=1, latent=4)).eval(), torch.randn(2, 3, 24, 6)
    first = losses.motion_prior_loss(prior, MotionOutput(pose, torch.zeros(2, 3, 10), torch.zeros(2, 3, 3)))
    other = pose.clone()
    other[:, :, 0] = torch.randn(6)  # the root's turn is no part of it
    longer = losses.motion_prior_loss(prior, MotionOutput(3 * other, torch.zeros(2, 3, 10), torch.zeros(2, 3, 3)))
    assert first.item() == pytest.approx(longer.item(), rel=1e-4)


def motion(value: float) -> MotionOutput:
    return MotionOutput(
        torch.tensor([1.0, 0, 0, 1, 0, 0]).expand(1, 2, 24, 6),
        torch.full((1, 2, 10), value),
        torch.full((1, 2, 3), value),
    )


def test_all_three_outputs_of_tcmr_count() -> None:
    three = MotionOutput(
        *vars(motion(1)).values(),
    )
    three.others.update(past=motion(2), future=motion(4))
    total, parts = losses.supervise_all(lambda one: (one.betas.sum(), {"betas": one.betas.sum()}), three)
    assert total.item() == 20 * 7 and parts["betas"].item() == 20
    assert (parts["past"].item(), parts["future"].item()) == (40, 80)


def test_flow_leads_back_to_the_frame_before() -> None:
    flow = torch.zeros(1, 1, 2, 16, 16)
    flow[0, 0, 0], flow[0, 0, 1] = 0.25, -0.5
    now = torch.tensor([[[[0.0, 0.0], [0.1, -0.2]]]])
    along = now + torch.tensor([0.25, -0.5])
    assert losses.flow_loss(now, along, flow).item() == pytest.approx(0, abs=1e-12)
    off = along.clone()
    off[..., 0, 0] += 0.3
    assert losses.flow_loss(now, off, flow).item() == pytest.approx(0.09)
    assert losses.flow_loss(now, off, flow, torch.tensor([[[0.0, 1.0]]])).item() == pytest.approx(0, abs=1e-12)


def test_flow_is_read_where_the_point_is() -> None:
    ramp = torch.zeros(1, 2, 8, 8)
    ramp[0, 0] = (torch.arange(8) + 0.5) / 4 - 1  # u of a pixel is its own x
    ramp[0, 1] = ((torch.arange(8) + 0.5) / 4 - 1)[:, None]
    points = torch.tensor([[[0.3, -0.6], [-0.45, 0.2]]])
    assert torch.allclose(losses.sample_flow(ramp, points), points, atol=1e-6)


def test_feature_and_camera_consistency() -> None:
    features = torch.tensor([[[0.0, 0], [3, 4], [6, 8]]])
    assert losses.feature_loss(features, torch.zeros(1, 2, 2)).item() == 15  # the first frame has no forecast
    assert losses.feature_loss(features, features[:, 1:]).item() == 0
    first, second = torch.zeros(1, 2, 3), torch.tensor([[[0.0, 3, 4], [1, 0, 0]]])
    assert losses.camera_consistency_loss(first, second).item() == 6


def test_the_silhouette_is_full_at_a_point_and_empty_far_from_it() -> None:
    there = losses.soft_silhouette(torch.tensor([[[-0.5, 0.5]]]), 4, 0.1)[0]  # pixel centres at ±0.25 and ±0.75
    assert there.argmax() in (8, 9, 12, 13) and there[0, 3] < 1e-6
    assert there[2, 0].item() == pytest.approx(1 - math.exp(-math.exp(-(0.25**2 + 0.25**2) / 0.02)), rel=1e-3)
    twice = losses.soft_silhouette(torch.tensor([[[-0.5, 0.5], [-0.5, 0.5]]]), 4, 0.1)[0]
    assert twice[2, 0].item() == pytest.approx(1 - (1 - there[2, 0].item()) ** 2, rel=1e-3)


def test_the_mask_costs_what_is_not_covered() -> None:
    mask = torch.zeros(1, 1, 2, 2)
    mask[0, 0, 0, 0] = 1
    silhouette = torch.full((1, 1, 2, 2), 0.5)
    assert losses.mask_loss(silhouette, mask).item() == pytest.approx(math.log(2) / 4)
    assert losses.mask_loss(silhouette, mask, torch.zeros(1, 1)).item() == 0


def test_the_mask_pulls_a_body_onto_it() -> None:
    mask = losses.soft_silhouette(torch.tensor([[[0.3, 0.0]]]), 16, 0.2)[:, None]

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.at = torch.nn.Parameter(torch.tensor([[[-0.3, 0.1]]]))

    body = Body()
    loop = Loop(body, Schedule(1, 0.03, 0, steps=120, warmup_steps=1), print, "body")
    while loop.goes_on():
        loop.step(losses.mask_loss(losses.soft_silhouette(body.at, 16, 0.2)[:, None], mask), {})
    assert torch.allclose(body.at.detach(), torch.tensor([0.3, 0.0]), atol=0.05)


def test_occluded_frames_are_taught_and_clear_ones_are_not() -> None:
    hidden, clear = motion(1.0), motion(3.0)
    for one in (hidden, clear):
        one.betas.requires_grad_(), one.camera.requires_grad_()
    parts = losses.occlusion_losses(hidden, clear)
    assert parts["pose"].item() == 0
    assert parts["betas"].item() == pytest.approx(math.sqrt(40)) and parts["camera"].item() == pytest.approx(
        2 * math.sqrt(12)
    )
    sum(parts.values()).backward()
    assert hidden.betas.grad is not None and clear.betas.grad is None and clear.camera.grad is None


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: losses.joints3d_loss(x.view(1, 2, 2, 3), ones(1, 2, 2, 3).double(), torch.tensor([[[1, 1], [1, 0]]])),
        lambda x: losses.joints2d_loss(x.view(1, 2, 2, 3), ones(1, 2, 3).double(), ones(1, 2, 2, 2).double()),
        lambda x: losses.pose_loss(x.view(1, 2, 1, 2, 3), ones(1, 2, 1, 2, 3).double()),
        lambda x: losses.shape_loss(x.view(1, 2, 6), ones(1, 2, 6).double()),
        lambda x: losses.prior_loss(x.view(2, 2, 3)),
        lambda x: losses.feature_loss(ones(1, 3, 6).double(), x.view(1, 2, 6)),
        lambda x: losses.mask_loss(losses.soft_silhouette(x.view(1, 6, 2), 4, 0.4)[:, None], ones(1, 1, 4, 4).double()),
        lambda x: losses.flow_loss(ones(1, 1, 6, 2).double() / 2, x.view(1, 1, 6, 2), ones(1, 1, 2, 4, 4).double()),
        lambda x: losses.generator_loss(x[:, None]),
        lambda x: losses.discriminator_loss(x[:6, None], x[6:, None]),
    ],
)
def test_gradients(loss) -> None:
    x = torch.linspace(-0.8, 0.9, 12, dtype=torch.float64).sin().requires_grad_()
    assert torch.autograd.gradcheck(loss, (x,))


def test_poses_are_laid_on_their_truth_as_pa_mpjpe_lays_them_and_learn_from_it() -> None:
    truth = torch.randn(5, 9, 3, generator=torch.Generator().manual_seed(0))
    points = torch.randn(5, 9, 3, generator=torch.Generator().manual_seed(1)) + truth
    points[4] = truth[4] * torch.tensor([-1.0, 1, 1])  # a mirror image is no similarity
    points.requires_grad_(True)
    laid = losses.aligned(points, truth)
    assert np.allclose(laid.detach().numpy(), procrustes(points.detach().numpy(), truth.numpy()), atol=1e-5)
    turned = (points.detach() * 3) @ matrix_from_axis_angle(torch.tensor([0.3, 2.0, -1.0])) + 7
    assert torch.allclose(losses.aligned(turned, truth), laid, atol=1e-4)
    loss = (laid - truth).square().sum()
    loss.backward()
    step = points.detach() - 1e-3 * points.grad
    assert (losses.aligned(step, truth) - truth).square().sum() < loss
    assert torch.isfinite(losses.aligned(torch.zeros(1, 9, 3), truth[:1])).all()
