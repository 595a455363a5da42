"""The papers' trainings, on data sets, put together from a run's settings and inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vibe_cli.body.body_models import skin
from vibe_cli.errors import InputError
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.networks import describe
from vibe_cli.networks.dts_vibe import DtsVibe, DtsVibeConfig
from vibe_cli.networks.open_encoder import KEYPOINTS_49
from vibe_cli.networks.regressor import RegressorConfig
from vibe_cli.networks.sps_net import SpsNet, SpsNetConfig
from vibe_cli.networks.tcmr import Tcmr, TcmrConfig
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.networks.vibe import Vibe, VibeConfig
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.training.papers import PaperTraining, train_paper
from vibe_cli.training.recording import gather
from vibe_cli.training.records import Mixture, Record, load_records
from vibe_cli.training.run_models import write_paper_network
from vibe_cli.training.task import Job, OneStage, Trained, load_lifter, load_mposer_run
from vibe_cli.training.warm_start import warm_start

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body

SURFACE = 2000  # points of a mesh that masks are compared with
FLOW_SIDE = 32  # pixels of the flow images that are kept of data sets


@dataclass(frozen=True)
class Paper(OneStage):
    """A temporal network as its paper has it."""

    settings: PaperTraining
    system: str  # systems.SYSTEMS

    def train(self, job: Job) -> Trained:
        """From the data sets that the settings name."""
        o, context = self.settings, job.how.context
        if o.body is None:
            kind, body, full = "open", job.inputs.body.to(context.device), None

            def joints_of(rotations: Tensor, betas: Tensor) -> Tensor:
                return body(rotations, betas)[:, KEYPOINTS_49]
        else:
            from vibe_cli.body.body_models import (
                load_body,  # reads users' files, for which a bare machine has no reader
            )

            full = load_body(o.body).to(context.device)
            kind = full.kind

            def joints_of(rotations: Tensor, betas: Tensor) -> Tensor:
                joints = full(rotations, betas).joints
                return joints - full.rest_joints(betas)[:, :1]

        single = load_lifter(job.start)[1] if job.start is not None else None
        torch.manual_seed(o.seed)
        records, sources = read_records(job, o, self.system, kind)
        mixture = Mixture(records, o.share_3d)
        network = paper_network(
            self.system,
            records[0]["features"].shape[1],
            o.window,
            *([single.config.hidden] if single is not None else []),
        )
        if single is not None and not job.checkpoint.exists():
            warm_start(
                network,
                single,
                torch.stack(
                    [mixture.draw(np.random.default_rng(row), 1, o.window)["features"][0] for row in range(512)]
                ),
            )
        prior = load_mposer_run(job.prior).to(context.device) if job.prior is not None else None
        bank = job.inputs.bank if o.discriminator and prior is None else None
        masks = o.mask and any("valid_mask" in record and record["valid_mask"].any() for record in records)
        surface_of = surface_points(full or job.inputs.need_body(), context.device) if masks else None
        loop = train_paper(network, joints_of, mixture, bank, o, job.report, prior, job.checkpoint, surface_of, job.how)
        return [loop], {"network": network.state_dict(), "config": describe(network.config), "sources": sources}

    def export(self, job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
        """The network; the encoder and the body are those that the settings name."""
        write_paper_network(job, name, self.settings, weights, out)


def read_records(job: Job, settings: PaperTraining, system: str, kind: str) -> tuple[list[Record], list[str]]:
    """Training records of a system, and their sources.

    The first process reads them, the others and a resumed run take them from its file. InputError for records that
    were read for another system or by another encoder.
    """
    o, context, folder = settings, job.how.context, job.checkpoint.parent
    kept = folder / "records.pt"  # only the first process may test for it: it may be written while others look
    if not any("=" in entry for entry in o.data) or context.is_main and not (job.checkpoint.exists() and kept.exists()):
        flow = ("dis", FLOW_SIDE) if system == "dts-vibe" else None
        records, sources = gather(
            o.data, o.encoder, kind, folder, job.report, context.device.type, flow, system == "sps-net"
        )
        context.broadcast_bool(True)
    else:
        context.broadcast_bool(True)  # once the first has written them
        records, sources = load_records(kept)
    names = {name for record in records for name in record} | ({"flow"} if system == "dts-vibe" else set())
    for record in records:
        if lacking := sorted(names - set(record)):
            raise InputError(
                f"records of {', '.join(o.data)} lack {', '.join(lacking)}",
                hint="they were read for another system: name the data sets instead of records.pt",
            )
    if len({record["features"].shape[1] for record in records}) > 1:
        raise InputError(
            f"records of {', '.join(o.data)} are of encoders of different widths",
            hint="take records of one encoder, or name the data sets instead of records.pt",
        )
    return records, sources


def surface_points(body: Body | SynthBody, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Rotations and betas → SURFACE points evenly over the skin of a body, about its pelvis."""
    if isinstance(body, SynthBody):
        template, directions, weights, joints, moves = (
            torch.from_numpy(np.asarray(x, np.float32)).to(device)
            for x in (body.vertices, body.shapedirs[..., :10], body.weights, body.joints, body.joint_dirs[..., :10])
        )

        def vertices_of(rotations: Tensor, betas: Tensor) -> Tensor:
            rest = joints + torch.einsum("jcb,nb->njc", moves, betas)
            shaped = template + torch.einsum("vcb,nb->nvc", directions, betas)
            return skin(rotations, shaped, rest, weights, PARENTS)[0] - rest[:, :1]
    else:
        template = body.surface().template

        def vertices_of(rotations: Tensor, betas: Tensor) -> Tensor:
            return body(rotations, betas).vertices - body.rest_joints(betas)[:, :1]

    faces = torch.from_numpy(np.asarray(body.faces, np.int64)).to(device)
    edges = template[faces].diff(dim=1)
    areas = torch.linalg.cross(edges[:, 0], edges[:, 1]).norm(dim=-1).cpu()
    faces = faces[areas.multinomial(SURFACE, replacement=True, generator=torch.Generator().manual_seed(0))]
    return lambda rotations, betas: vertices_of(rotations, betas)[:, faces].mean(2)


def paper_network(system: str, features: int, window: int, hidden: int = RegressorConfig.hidden) -> TemporalNetwork:
    """A system's network in its published shape, for features of any width; `hidden` is its regressor's width.

    DTS-VIBE's flow stream alone is smaller than its paper's (papers.py).
    """
    kinds = {
        "vibe": (Vibe, VibeConfig),
        "tcmr": (Tcmr, TcmrConfig),
        "dts-vibe": (DtsVibe, DtsVibeConfig),
        "sps-net": (SpsNet, SpsNetConfig),
    }
    network, config = kinds[system]
    more = {"flow_encoder": "small", "flow_side": FLOW_SIDE} if system == "dts-vibe" else {"regressor_hidden": hidden}
    return network(config(features=features, window=window, **more))
