"""How temporal networks begin: at the single-frame model, as nearly as each system's form allows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vibe_cli.errors import UsageError
from vibe_cli.networks.dts_vibe import DtsVibe
from vibe_cli.networks.regressor import Regressor
from vibe_cli.networks.sps_net import SpsNet
from vibe_cli.networks.tcmr import Tcmr
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.networks.vibe import Vibe

RIDGE = 1e-3  # of the least squares, over the mean square of what they read


@torch.no_grad()
def warm_start(network: TemporalNetwork, regressor: Regressor, windows: Tensor | None = None) -> None:
    """Begin with a trained single-frame regressor; `windows` (N, T, F) are features of clips, for those who need them.

    VIBE is the single-frame model then, its recurrent part adding nothing yet. SPS-Net has its regressor, and
    forecasts of zero that count half: it reads the mean of a frame's feature and of those it attends to. TCMR has
    its regressor, which reads features that untrained recurrent layers must give back: their linear layers are
    fitted to that by least squares. DTS-VIBE's regressor is of another kind: its coarse layer is fitted to what the
    single-frame model says. UsageError where the two read features of different widths.
    """
    if regressor.features != network.features:
        raise UsageError(
            f"a network of {network.features} features cannot begin at a regressor of {regressor.features}",
            hint="read the data sets with the encoder that was trained with it: --set encoder=runs/lifter/encoder",
        )
    if isinstance(network, DtsVibe):
        _fit_coarse(network, regressor, windows)
        return
    network.get_submodule("regressor").load_state_dict(regressor.state_dict())
    if isinstance(network, Vibe):
        _zero(network.encoder.linear)
    elif isinstance(network, SpsNet) and network.forecasting is not None and network.fusion is not None:
        _zero(network.forecasting[2])
        nn.init.zeros_(network.fusion.fc.weight)
    elif isinstance(network, Tcmr) and windows is not None:
        _fit_tcmr(network, windows)


def _fit_tcmr(network: Tcmr, windows: Tensor) -> None:
    """Its three linear layers give back the middle frame's feature best."""
    encoder, middle = network.encoder, windows.shape[1] // 2
    states = {
        "linear_cur": encoder.gru_cur(windows)[0][:, middle],
        "linear_bef": encoder.gru_bef(windows[:, :middle])[0][:, -1],
        "linear_aft": encoder.gru_aft(windows[:, middle + 1 :].flip(1))[0][:, -1],
    }
    for name, state in states.items():
        fit_linear(getattr(encoder, name), torch.relu(state), windows[:, middle])


def _fit_coarse(network: DtsVibe, regressor: Regressor, windows: Tensor | None) -> None:
    """Its coarse parameters are the single-frame model's (without windows: their mean), and flow adds nothing."""
    if network.flow is not None:
        _zero(network.reduce_flow)
    if windows is None:
        network.coarse.bias.copy_(torch.cat([regressor.init_pose, regressor.init_shape, regressor.init_cam], 1)[0])
        return
    was, single = network.training, regressor.eval()(windows)
    still = windows.new_zeros(*windows.shape[:2], network.config.flow_features)
    fused = network.eval().fuse(torch.cat([windows, still], dim=-1))
    wanted = torch.cat([single.pose6d.flatten(2), single.betas, single.camera], dim=-1)
    fit_linear(network.coarse, fused.flatten(0, 1), wanted.flatten(0, 1))
    network.train(was)


def fit_linear(layer: nn.Linear, inputs: Tensor, outputs: Tensor) -> None:
    """Set a layer to the ridge regression of outputs (N, O) on inputs (N, I)."""
    x, y = inputs.double(), outputs.double()
    mean, centre = x.mean(0), y.mean(0)
    x, y = x - mean, y - centre
    square = x.mT @ x
    square = square + RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    weight = torch.linalg.solve(square, x.mT @ y).mT
    layer.weight.copy_(weight)
    layer.bias.copy_(centre - weight @ mean)


def _zero(layer: nn.Module) -> None:
    """Make a linear layer give nothing but zeros."""
    nn.init.zeros_(layer.get_parameter("weight"))
    nn.init.zeros_(layer.get_parameter("bias"))
