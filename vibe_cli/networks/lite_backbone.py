"""EfficientNet-lite0 as a backbone: inverted residuals without squeeze-and-excitation, normalisation folded in.

Source: Tan and Le 2019, EfficientNet, table 1; the lite variant drops squeeze-and-excitation and has ReLU6 for swish.
A network that begins with trained weights needs no normalisation of its own: folded into the convolutions it costs
nothing, in training as in use.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu6

# kernel, stride, expansion, output channels, blocks
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
          (3, 1, 6, 320, 1))  # fmt: skip
STEM = 32  # channels
CHANNELS = (24, 40, 112, 320)  # of the maps at strides 4, 8, 16 and 32
GRADIENT_SHARE = 6  # one in so many pictures of a batch tells the gradient of a depthwise kernel


class SampledDepthwise(torch.autograd.Function):
    """A depthwise convolution whose backward pass suits CPUs with half precision.

    The gradient of its input is a depthwise convolution with the kernel reversed, which such CPUs run several times
    as fast as what autograd calls. A kernel has few weights and is seen at every place of every picture: its gradient
    is estimated, without bias, from one picture in GRADIENT_SHARE.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        """(N, C, H, W), (C, 1, k, k), (C,) → (N, C, H / stride, W / stride)."""
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        """Gradients of the input, the kernel and the bias."""
        (x, weight), stride = ctx.saved_tensors, ctx.stride
        grad, half = grads[0].contiguous(memory_format=torch.channels_last), weight.shape[-1] // 2
        along = None
        if ctx.needs_input_grad[0]:
            spread = grad
            if stride > 1:
                spread = torch.zeros_like(x, memory_format=torch.channels_last)
                spread[:, :, ::stride, ::stride] = grad
            along = conv2d(spread, weight.flip(2, 3), None, 1, half, groups=len(weight))
        count = max(1, len(x) // GRADIENT_SHARE)
        first = int(torch.randint(len(x) - count + 1, ()))
        some = slice(first, first + count)
        _, of_weight, of_bias = torch.ops.aten.convolution_backward(
            grad[some].float(), x[some].float(), weight.float(), [len(weight)], [stride] * 2, [half] * 2, [1, 1],
            False, [0, 0], len(weight), [False, True, True])  # fmt: skip
        return along, of_weight * (len(x) / count), of_bias * (len(x) / count), None


class Depthwise(nn.Conv2d):
    """A depthwise convolution of `channels`, trained as SampledDepthwise where autocast on a CPU is on."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H / stride, W / stride)."""
        if self.training and torch.is_grad_enabled() and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            return SampledDepthwise.apply(x, self.weight, self.bias, self.stride[0])
        return super().forward(x)


class InvertedResidual(nn.Module):
    """Expand, convolve depthwise, project; added to its input where the shapes allow (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = nn.Conv2d(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = Depthwise(wide, kernel, stride)
        self.project = nn.Conv2d(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H / stride, W / stride)."""
        wide = x if self.expand is None else relu6(self.expand(x), inplace=True)
        narrow = self.project(relu6(self.depthwise(wide), inplace=True))
        return narrow + x if self.residual else narrow


class LiteBackbone(nn.Module):
    """Pictures → maps at strides 4, 8, 16 and 32 of CHANNELS channels.

    `frozen` blocks and the stem do not learn, and no gradient is carried through them: they cost a third of a step.
    """

    def __init__(self, frozen: int = 0) -> None:
        super().__init__()
        self.frozen = frozen
        self.stem = nn.Conv2d(3, STEM, 3, 2, 1)
        blocks, inputs, self._last = [], STEM, []
        for kernel, stride, expansion, outputs, count in STAGES:
            for number in range(count):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if number == 0 else 1, expansion))
                inputs = outputs
            if outputs in CHANNELS:
                self._last.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W), H and W multiples of 32 → four maps."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            x = relu6(self.stem(x), inplace=True)
        maps = []
        for number, block in enumerate(self.blocks):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= self.frozen):
                x = block(x)
            if number in self._last:
                maps.append(x)
        return tuple(maps)
