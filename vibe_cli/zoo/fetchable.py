"""The catalogue of free models that `vibe models fetch` gets: what each is, its licence, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass

_MEGVII = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
_MMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/"
_APACHE = "Apache-2.0 (trained on public data sets, some of which have terms of their own)"


@dataclass(frozen=True)
class Fetchable:
    """One model that its authors publish."""

    name: str
    what: str
    task: str  # detector or keypoints
    urls: tuple[str, ...]  # of an ONNX file, or of a zip that holds one
    megabytes: int  # about, of the ONNX file
    sha256: str | None = None  # of the ONNX file, where it is known
    licence: str = _APACHE


def _yolox(size: str, megabytes: int, sha256: str | None = None) -> Fetchable:
    return Fetchable(
        f"yolox-{size}", "YOLOX by Megvii", "detector", (f"{_MEGVII}yolox_{size}.onnx",), megabytes, sha256
    )


def _pose(name: str, what: str, place: str, megabytes: int, sha256: str | None = None) -> Fetchable:
    return Fetchable(name, f"{what} by OpenMMLab", "keypoints", (f"{_MMPOSE}{place}.zip",), megabytes, sha256)


_RTMPOSE, _RTMO = "rtmposev1/onnx_sdk/rtmpose-", "rtmo/onnx_sdk/rtmo-"
MODELS = {
    model.name: model
    for model in (
        _yolox("nano", 4, "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"),
        _yolox("tiny", 20, "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7"),
        _yolox("s", 36, "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063"),
        _yolox("m", 101),
        _yolox("l", 217),
        _yolox("x", 397),
        _pose(
            "rtmpose-s", "RTMPose of COCO's 17", f"{_RTMPOSE}s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504", 22
        ),
        _pose(
            "rtmpose-m",
            "RTMPose of COCO's 17",
            f"{_RTMPOSE}m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504",
            54,
            "5c0a4bf67953e6d2ac43ce15e77dc9d5d354ae18430a47d2c5963a7bc5683e3c",
        ),
        _pose(
            "rtmpose-m-halpe26",
            "RTMPose of Halpe's 26, with feet",
            f"{_RTMPOSE}m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605",
            56,
            "26f3a19e61304a600dfb82d1001d41d24343b89fc70a33ffc84657e0b0bf2ecf",
        ),
        _pose(
            "rtmpose-l-wholebody",
            "RTMPose of COCO-WholeBody's 133",
            f"{_RTMPOSE}l_simcc-ucoco_dw-ucoco_270e-384x288-2438fd99_20230728",
            134,
        ),
        _pose("rtmo-s", "RTMO", f"{_RTMO}s_8xb32-600e_body7-640x640-dac2bf74_20231211", 40),
        _pose("rtmo-m", "RTMO", f"{_RTMO}m_16xb16-600e_body7-640x640-39e78cc4_20231211", 90),
        _pose("rtmo-l", "RTMO", f"{_RTMO}l_16xb16-600e_body7-640x640-b37118ce_20231211", 180),
    )
}
RECOMMENDED = ("yolox-s", "rtmpose-m-halpe26")  # the best pair that a CPU runs and anybody may use
