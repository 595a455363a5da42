"""Foreign networks in ONNX files, run by ONNX Runtime: pictures in, arrays out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.importing.onnx_files import read_onnx

if TYPE_CHECKING:
    import torch

INSTALL = "pip install 'vibe-cli[onnx]' (with an NVIDIA GPU: pip install onnxruntime-gpu)"


class OnnxNetwork:
    """A network of one input of pictures (N, 3, H, W) float32; the file is looked through before it is run.

    `size` is (H, W), the file's own, or the given one where that is free. `outputs` are the shapes that one
    empty picture gave: what a network is, is told by them, not by names.
    """

    def __init__(
        self, path: str | Path, device: torch.device | str = "cpu", size: tuple[int, int] = (640, 640)
    ) -> None:
        need_onnxruntime()
        import onnxruntime
        import torch

        self.path = Path(path)
        content = read_onnx(self.path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what matters comes as an exception
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch wants the cores in between
        there, providers = onnxruntime.get_available_providers(), ["CPUExecutionProvider"]
        if torch.device(device).type == "cuda" and "CUDAExecutionProvider" in there:
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=providers)
            (given,) = self.session.get_inputs()
            batch, channels, *sides = given.shape
            if len(sides) != 2 or channels not in (3, "3") or given.type != "tensor(float)":
                raise ValueError(f"its input is {given.type} {given.shape}, not pictures (N, 3, H, W)")
            height, width = (side if isinstance(side, int) else want for side, want in zip(sides, size, strict=True))
            self.size: tuple[int, int] = (height, width)
            self.name, self.batch = given.name, batch if isinstance(batch, int) else None
            self.outputs = [one.shape for one in self._run(np.zeros((self.batch or 1, 3, *self.size), np.float32))]
        except Exception as error:  # whatever a damaged or foreign file provokes
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise ModelError(f"{self.path}: cannot be run ({reason})", hint="get the file again, or another") from None

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Pictures (N, 3, H, W) float32 → each output (N, …), however many a file takes at once.

        Outputs whose length depends on what was found are those of one picture at a time.
        """
        step = self.batch or len(images)
        parts = []
        for start in range(0, len(images), step):
            some = images[start : start + step]
            short = step - len(some)
            padded = np.concatenate([some, np.zeros((short, *some.shape[1:]), np.float32)]) if short else some
            parts.append([one[: len(some)] for one in self._run(padded)])
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, {self.name: np.ascontiguousarray(images)})


def need_onnxruntime() -> None:
    """ModelError where ONNX Runtime is not installed."""
    if find_spec("onnxruntime") is None:
        raise ModelError("ONNX files need onnxruntime, which is not installed", hint=INSTALL)


def fit_frame(frame: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """A frame (H, W, 3) RGB uint8 as YOLOX sees it, (3, h, w) float32, and its scale.

    BGR, 0 to 255, at the upper left corner of a canvas of 114, as large as it fits.
    """
    import cv2

    scale = min(size[0] / frame.shape[0], size[1] / frame.shape[1])
    height, width = (max(1, int(side * scale)) for side in frame.shape[:2])
    canvas = np.full((*size, 3), 114, np.float32)
    canvas[:height, :width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    return canvas.transpose(2, 0, 1), scale
