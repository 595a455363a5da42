"""How each kind of training is put together from a run's settings and materials (runs.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vibe_cli.body.body_models import skin
from vibe_cli.errors import InputError, UsageError
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.networks import describe
from vibe_cli.networks.centre import CentreConfig
from vibe_cli.networks.dts_vibe import DtsVibe, DtsVibeConfig
from vibe_cli.networks.keypoints import DEEP, KeypointConfig
from vibe_cli.networks.lifter import Lifter, LifterConfig
from vibe_cli.networks.mposer import Mposer, MposerConfig
from vibe_cli.networks.open_encoder import KEYPOINTS_49
from vibe_cli.networks.regressor import Regressor, RegressorConfig
from vibe_cli.networks.sps_net import SpsNet, SpsNetConfig
from vibe_cli.networks.tcmr import Tcmr, TcmrConfig
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.networks.vibe import Vibe, VibeConfig
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.crops import CropSource
from vibe_cli.training.adversary import train_mposer
from vibe_cli.training.detector import train_detector
from vibe_cli.training.inputs import CLIP_LENGTH, TrainingInputs
from vibe_cli.training.keypoints import train_keypoints
from vibe_cli.training.lifting import draw_stills, tensors, together, train_lifter
from vibe_cli.training.loop import Loop
from vibe_cli.training.papers import train_paper
from vibe_cli.training.recording import gather
from vibe_cli.training.records import Mixture, Record, load_records
from vibe_cli.training.simulate import simulate_clips
from vibe_cli.training.temporal import open_network, train_temporal, windows_of
from vibe_cli.training.warm_start import warm_start
from vibe_cli.training.weights import read_weights

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body

SURFACE = 2000  # points of a mesh that masks are compared with
FLOW_SIDE = 32  # pixels of the flow images that are kept of data sets


@dataclass(frozen=True, eq=False)
class Job:
    """A run as a training sees it."""

    settings: Any
    system: str | None
    inputs: TrainingInputs
    checkpoint: Path
    start: Path | None
    prior: Path | None
    report: Callable[[str], None]
    loop_options: dict

    def need_system(self) -> str:
        """The name of the temporal network; ValueError of a training of another kind."""
        if self.system is None:
            raise ValueError("a temporal network without a name")
        return self.system


def _temporal(job: Job) -> tuple[list[Loop], dict]:
    """An open temporal network, begun at a trained lifter and single-frame regressor."""
    context = job.loop_options["context"]
    lifter, regressor = load_lifter(warm_start_file(job))
    torch.manual_seed(job.settings.seed)
    network, drawn = open_network(job.need_system(), lifter.config.features), job.inputs.seen("clips")
    body, bank = job.inputs.body, job.inputs.bank
    if not job.checkpoint.exists():
        some, length = (
            (drawn, CLIP_LENGTH)
            if drawn is not None
            else (
                simulate_clips(
                    np.random.default_rng(job.settings.seed), bank, body, 64, 2 * network.window, lifter.config.pooled
                ),
                2 * network.window,
            )
        )
        warm_start(network, regressor, windows_of(lifter, some[0], length, network.window))
    prior = load_mposer_run(job.prior).to(context.device) if job.prior is not None else None
    loops: list[Loop] = []
    train_temporal(
        network,
        lifter,
        body,
        drawn,
        CLIP_LENGTH,
        bank,
        job.settings,
        job.report,
        prior,
        job.checkpoint,
        keep=loops.append,
        **job.loop_options,
    )
    return loops, {"network": network.state_dict(), "config": describe(network.config)}


def warm_start_file(job: Job) -> Path:
    """Where the lifter is that a temporal network begins at; UsageError where there is none."""
    folder = job.inputs.folder
    if job.start is not None:
        return job.start
    if folder is not None and (folder / "lifter.pt").exists():
        return folder / "lifter.pt"
    raise UsageError(
        "a temporal network begins at a trained lifter",
        hint="train one with vibe train lifter, and name its folder: --start runs/lifter",
    )


def load_lifter(path: Path) -> tuple[Lifter, Regressor]:
    """The lifter and the single-frame regressor of a run or of the recipe."""
    state = read_weights(path, "lifter")
    lifter = Lifter(LifterConfig(**state["lifter_config"]))
    regressor = Regressor(RegressorConfig(**state["regressor_config"]))
    lifter.load_state_dict(state["lifter"])
    regressor.load_state_dict(state["regressor"])
    return lifter.eval(), regressor.eval()


def load_mposer_run(path: Path) -> Mposer:
    """The trained prior of a run, fixed."""
    state = read_weights(path, "mposer")
    network = Mposer(MposerConfig(**state["config"]))
    network.load_state_dict(state["mposer"])
    return network.eval().requires_grad_(False)


def _mposer(job: Job) -> tuple[list[Loop], dict]:
    torch.manual_seed(job.settings.seed)
    network = Mposer(MposerConfig(hidden=job.settings.hidden, window=job.settings.window)).to(
        job.loop_options["context"].device
    )
    loop = train_mposer(network, job.inputs.bank, job.settings, job.report, job.checkpoint, **job.loop_options)
    return [loop], {"mposer": loop.averaged.state_dict(), "config": asdict(network.config)}


def _lifter(job: Job) -> tuple[list[Loop], dict]:
    one_process(job, "the lifter")
    o, folder, body = job.settings, job.inputs.folder, job.inputs.body
    torch.manual_seed(o.seed)
    stills = (
        tensors(CropSource(folder, "stills").labels)
        if folder is not None and any(folder.glob("stills_*_labels.npz"))
        else draw_stills(job.inputs.bank, body, o.stills, o.seed)
    )
    lifter = Lifter(LifterConfig(o.features, o.hidden))
    regressor = Regressor(RegressorConfig(o.features, hidden=o.features, dropout=0.1))
    seen = together(job.inputs.seen("stills"), job.inputs.seen("clips"))
    loops = train_lifter(lifter, regressor, body, stills, seen, o, job.report, job.checkpoint, **job.loop_options)
    return loops, {
        "lifter": lifter.state_dict(),
        "lifter_config": asdict(lifter.config),
        "regressor": regressor.state_dict(),
        "regressor_config": asdict(regressor.config),
    }


def _keypoints(job: Job) -> tuple[list[Loop], dict]:
    one_process(job, "keypoints")
    config = KeypointConfig(layers=DEEP)
    loop = train_keypoints(
        job.inputs.need_folder(), job.checkpoint, config, job.settings, job.report, job.start, **job.loop_options
    )
    return [loop], {"averaged": loop.averaged.state_dict(), "config": asdict(config)}


def _detector(job: Job) -> tuple[list[Loop], dict]:
    one_process(job, "detector")
    config = CentreConfig(job.settings.backbone, layers=DEEP, size=job.settings.size)
    loop = train_detector(
        job.inputs.need_folder(), job.checkpoint, job.start, config, job.settings, job.report, **job.loop_options
    )
    return [loop], {"averaged": loop.averaged.state_dict(), "config": asdict(config)}


def _paper(job: Job) -> tuple[list[Loop], dict]:
    """A temporal network as its paper has it, on data sets."""
    o, context = job.settings, job.loop_options["context"]
    if o.body is None:
        kind, body, full = "open", job.inputs.body.to(context.device), None

        def joints_of(rotations: Tensor, betas: Tensor) -> Tensor:
            return body(rotations, betas)[:, KEYPOINTS_49]
    else:
        from vibe_cli.body.body_models import load_body  # reads users' files, for which a bare machine has no reader

        full = load_body(o.body).to(context.device)
        kind = full.kind

        def joints_of(rotations: Tensor, betas: Tensor) -> Tensor:
            joints = full(rotations, betas).joints
            return joints - full.rest_joints(betas)[:, :1]

    single = load_lifter(job.start)[1] if job.start is not None else None
    torch.manual_seed(o.seed)
    records, sources = _records(job, kind)
    mixture = Mixture(records, o.share_3d)
    network = paper_network(
        job.need_system(),
        records[0]["features"].shape[1],
        o.window,
        *([single.config.hidden] if single is not None else []),
    )
    if single is not None and not job.checkpoint.exists():
        warm_start(
            network,
            single,
            torch.stack([mixture.draw(np.random.default_rng(row), 1, o.window)["features"][0] for row in range(512)]),
        )
    prior = load_mposer_run(job.prior).to(context.device) if job.prior is not None else None
    bank = job.inputs.bank if o.discriminator and prior is None else None
    masks = o.mask and any("valid_mask" in record and record["valid_mask"].any() for record in records)
    surface_of = surface_points(full or job.inputs.need_body(), context.device) if masks else None
    loop = train_paper(
        network, joints_of, mixture, bank, o, job.report, prior, job.checkpoint, surface_of, **job.loop_options
    )
    return [loop], {"network": network.state_dict(), "config": describe(network.config), "sources": sources}


def _records(job: Job, kind: str) -> tuple[list[Record], list[str]]:
    """Training records of a system, and their sources.

    The first process reads them, the others and a resumed run take them from its file. InputError for records that
    were read for another system or by another encoder.
    """
    o, context, folder = job.settings, job.loop_options["context"], job.checkpoint.parent
    kept = folder / "records.pt"  # only the first process may test for it: it may be written while others look
    if not any("=" in entry for entry in o.data) or context.is_main and not (job.checkpoint.exists() and kept.exists()):
        flow = ("dis", FLOW_SIDE) if job.system == "dts-vibe" else None
        records, sources = gather(
            o.data, o.encoder, kind, folder, job.report, context.device.type, flow, job.system == "sps-net"
        )
        context.broadcast_bool(True)
    else:
        context.broadcast_bool(True)  # once the first has written them
        records, sources = load_records(kept)
    names = {name for record in records for name in record} | ({"flow"} if job.system == "dts-vibe" else set())
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


def one_process(job: Job, name: str) -> None:
    """UsageError where torchrun started several."""
    if job.loop_options["context"].count > 1:
        raise UsageError(f"{name} is trained in one process", hint="start it without torchrun")


TRAININGS: dict[str, Callable[[Job], tuple[list[Loop], dict]]] = {
    "TemporalTraining": _temporal,
    "MposerTraining": _mposer,
    "LiftingTraining": _lifter,
    "PaperTraining": _paper,
    "KeypointTraining": _keypoints,
    "DetectorTraining": _detector,
}
