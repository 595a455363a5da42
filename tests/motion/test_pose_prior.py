"""The pose prior: what it calls likely, left and right alike, and the fit that makes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

from vibe_cli.errors import ModelError
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.motion.pose_prior import JOINTS, SIZE, PosePrior
from vibe_cli.paths import models_dir
from vibe_cli.synth.mocap import Clip
from vibe_cli.synth.poses import mirrored
from vibe_cli.training.pose_prior import PriorTraining, fit_mixture, make_prior, mirror_matrix


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    return PosePrior.load()


def poses(count: int = 6, scale: float = 0.3) -> torch.Tensor:
    """Random poses about the T-pose with lowered arms, (count, 24, 3, 3)."""
    vectors = torch.randn(count, 24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale
    vectors[:, 16, 2] -= 1.1
    vectors[:, 17, 2] += 1.1
    return matrix_from_axis_angle(vectors)


def test_standing_is_likelier_than_a_knee_that_bends_forward_or_a_head_that_looks_back(prior: PosePrior) -> None:
    standing = poses(1, 0.0)
    wrong = standing.repeat(2, 1, 1, 1)
    wrong[0, 4] = matrix_from_axis_angle(torch.tensor([-1.2, 0, 0], dtype=torch.float64))
    wrong[1, 15] = matrix_from_axis_angle(torch.tensor([0, 2.8, 0], dtype=torch.float64))
    assert (prior(prior.vectors(wrong)) > prior(prior.vectors(standing)) + 12).all()
    bent = standing.clone()
    bent[0, 4] = matrix_from_axis_angle(torch.tensor([1.2, 0, 0], dtype=torch.float64))
    assert prior(prior.vectors(bent)) < prior(prior.vectors(wrong))[0] - 5


def test_a_pose_and_its_mirror_image_are_equally_likely(prior: PosePrior) -> None:
    some = poses()
    other = torch.from_numpy(mirrored(some.numpy()).copy())
    assert torch.allclose(prior(prior.vectors(some)), prior(prior.vectors(other)), rtol=1e-4)
    assert torch.allclose(prior.vectors(other), prior.vectors(some) @ mirror_matrix().T, atol=1e-5)


def test_the_likelihood_is_that_of_the_mixture(prior: PosePrior) -> None:
    vectors = prior.vectors(poses())
    density = np.zeros(len(vectors), np.longdouble)
    for weight, mean, factor in zip(prior.log_weights.exp(), prior.means, prior.factors, strict=True):
        covariance = torch.linalg.inv(factor @ factor.mT).numpy()
        log = multivariate_normal(mean.numpy(), (covariance + covariance.T) / 2).logpdf(vectors.numpy())
        density += float(weight) * np.exp(log.astype(np.longdouble))
    assert np.allclose(prior(vectors).numpy(), -np.log(density).astype(float), rtol=1e-5)
    assert prior.log_weights.exp().sum() == pytest.approx(1, abs=1e-5)


def test_its_gradient_is_right(prior: PosePrior) -> None:
    vectors = prior.vectors(poses(2)).requires_grad_()
    assert torch.autograd.gradcheck(prior, (vectors,), eps=1e-6, rtol=1e-4)


def test_expectation_maximisation_finds_the_clusters_that_are_there() -> None:
    g = torch.Generator().manual_seed(0)
    centres = torch.zeros(2, SIZE, dtype=torch.float64)
    centres[0, 0], centres[1, 30] = 2.0, -1.5  # the left hip one way; the neck the other
    data = torch.cat([centre + 0.1 * torch.randn(300, SIZE, generator=g, dtype=torch.float64) for centre in centres])
    tensors = fit_mixture(data, PriorTraining(pairs=2, rounds=10))
    assert len(tensors["means"]) == 5
    for centre in (*centres, *(centres @ mirror_matrix().T)):
        assert (tensors["means"] - centre).norm(dim=1).min() < 0.3
    model = PosePrior({**tensors, "mean_rotations": torch.eye(3).expand(24, 3, 3)})
    far = centres[:1] + 0.5 * torch.randn(50, SIZE, generator=g, dtype=torch.float64)
    assert model(data).mean() < model(far).mean() - 10


def test_made_from_clips_it_holds_motions_out_and_loads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def clip(number: int) -> Clip:
        vectors = rng.normal(0, 0.2, (40, 24, 3))
        return Clip(str(number), Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(40, 24, 3, 3))

    found = make_prior([clip(number) for number in range(8)], tmp_path, PriorTraining(pairs=1, rounds=3))
    assert found["held out"] == pytest.approx(found["held out, mirrored"], rel=1e-4)
    assert found["held out"] < found["held out, joints turned by noise"]
    assert PosePrior.load(tmp_path / "weights.safetensors").means.shape == (3, SIZE)
    assert "task: prior" in (tmp_path / "config.yaml").read_text()


def test_it_is_small_and_a_file_that_is_no_prior_says_so(tmp_path: Path) -> None:
    path = models_dir() / "open-pose-prior" / "weights.safetensors"
    assert path.stat().st_size < 2e6 and len(JOINTS) * 3 == SIZE == 57
    tensors = load_file(path)
    tensors["means"] = tensors["means"][:, :5].contiguous()
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(ModelError, match="not a pose prior"):
        PosePrior.load(tmp_path / "bad.safetensors")
