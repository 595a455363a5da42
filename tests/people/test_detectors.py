"""Detection: where heat maps put people, what a frame is turned into, and YOLO files that cannot bite."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vibe_cli.errors import ModelError
from vibe_cli.geometry.boxes import to_corners
from vibe_cli.people.detectors import (
    CentreDetector,
    Detector,
    YoloDetector,
    decode_centres,
    letterbox,
)
from vibe_cli.people.yolo_weights import _ultralytics_kept_quiet, fetch_yolo, read_yolo

UNIT = 64.0


def maps(
    people: list[tuple[int, int, float, tuple[float, ...]]], rows: int = 12, columns: int = 12
) -> tuple[Tensor, Tensor]:
    """Heat and sides with people at (row, column): probability, and pixels left, top, right, bottom."""
    heat = torch.full((1, 1, rows, columns), -9.0)
    sides = torch.zeros(1, 4, rows, columns)
    for row, column, probability, pixels in people:
        heat[0, 0, row, column] = float(np.log(probability / (1 - probability)))
        sides[0, :, row, column] = torch.log(torch.tensor(pixels) / UNIT)
    return heat, sides


class FakeNet(nn.Module):
    """Emits fixed maps, and keeps what it was shown."""

    def __init__(self, heat: Tensor, sides: Tensor) -> None:
        super().__init__()
        self.heat, self.sides, self.seen = heat, sides, []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The maps, once an image."""
        self.seen.append(images)
        return self.heat.expand(len(images), -1, -1, -1), self.sides.expand(len(images), -1, -1, -1)


def test_a_peak_is_a_person_whose_sides_are_measured_from_the_cells_centre() -> None:
    ((corners, scores),) = decode_centres(*maps([(5, 3, 0.8, (10.0, 20, 30, 40))]), 0.3)
    assert corners.numpy() == pytest.approx(np.array([[28 - 10, 44 - 20, 28 + 30, 44 + 40]]), abs=1e-3)
    assert scores.numpy() == pytest.approx([0.8])


def test_neighbours_of_a_peak_and_low_peaks_are_nobody() -> None:
    small = (6.0, 6, 6, 6)
    people = [(5, 3, 0.8, small), (5, 4, 0.7, small), (6, 4, 0.6, small), (9, 9, 0.29, small), (5, 5, 0.5, small)]
    ((_, scores),) = decode_centres(*maps(people), 0.3)
    assert scores.numpy() == pytest.approx([0.8])  # the 0.5 is beside the 0.7
    ((_, scores),) = decode_centres(*maps(people), 0.2)
    assert scores.numpy() == pytest.approx([0.8, 0.29])


def test_of_two_peaks_on_one_person_the_better_is_kept() -> None:
    one, other = (2, 5, 0.6, (40.0, 20, 40, 76)), (5, 5, 0.9, (40.0, 44, 40, 52))
    ((corners, scores),) = decode_centres(*maps([one, other]), 0.3)
    assert scores.numpy() == pytest.approx([0.9])
    apart = (5, 10, 0.6, (16.0, 44, 16, 52))
    ((_, scores),) = decode_centres(*maps([apart, other]), 0.3)
    assert scores.numpy() == pytest.approx([0.9, 0.6])  # best first


def test_boxes_come_back_to_pixels_of_the_frame_and_end_at_its_edges() -> None:
    """A frame of 192 × 96 is scaled by half to 96 × 48 and padded to 96 × 64."""
    net = FakeNet(*maps([(2, 3, 0.8, (10.0, 10, 10, 10)), (5, 11, 0.9, (20.0, 8, 80, 80))], rows=8))
    (found,) = CentreDetector(net, size=96).detect([np.zeros((96, 192, 3), np.uint8)])
    assert to_corners(found.boxes) == pytest.approx(np.array([[144, 72, 192, 96], [36, 20, 76, 60]]), abs=1e-2)
    assert found.scores == pytest.approx([0.9, 0.8])
    assert net.seen[0].shape == (1, 3, 64, 96)


def test_a_person_wholly_in_the_padding_is_nobody() -> None:
    net = FakeNet(*maps([(7, 6, 0.9, (8.0, 4, 8, 4))], rows=8))
    assert len(CentreDetector(net, size=96).detect([np.zeros((96, 192, 3), np.uint8)])[0]) == 0


def test_nobody_in_a_frame_is_empty_detections() -> None:
    found = CentreDetector(FakeNet(*maps([])), size=96).detect([np.zeros((96, 96, 3), np.uint8)] * 2)
    assert [len(one) for one in found] == [0, 0] and found[0].boxes.shape == (0, 4)
    assert CentreDetector(FakeNet(*maps([])), size=96).detect([]) == []


def test_what_the_network_sees_is_rgb_normalised_with_zeros_around() -> None:
    frame = np.zeros((30, 60, 3), np.uint8)
    frame[..., 0] = 255
    images, place = letterbox([frame], 64, mean=0.45, std=0.25)
    assert images.shape == (1, 3, 32, 64) and images.dtype == torch.float32
    assert images[0, :, 16, 30].numpy() == pytest.approx([0.55 / 0.25, -1.8, -1.8], abs=1e-5)
    padded, _ = letterbox([np.zeros((40, 64, 3), np.uint8)], 64, mean=0.45, std=0.25)
    assert padded.shape[2:] == (64, 64) and (padded[0, :, 40:] == 0).all() and (padded[0, :, :40] < -1.7).all()
    assert place == pytest.approx((0, 0, 64 / 60, 32 / 30))


def test_centred_padding_goes_all_round() -> None:
    images, place = letterbox([np.full((40, 64, 3), 255, np.uint8)], 64, fill=0.25, centred=True)
    assert place[:2] == (0, 12)
    assert (images[0, :, :12] == 0.25).all() and (images[0, :, 52:] == 0.25).all() and (images[0, :, 12:52] == 1).all()


def test_batches_and_mixed_sizes_change_nothing() -> None:
    torch.manual_seed(0)

    class Conv(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heat, self.sides = (nn.Conv2d(3, n, 8, stride=8) for n in (1, 4))

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return self.heat(images) * 3, self.sides(images) - 1

    rng = np.random.default_rng(0)
    frames = [
        rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        for shape in ((60, 90), (90, 60), (60, 90), (33, 200), (60, 90))
    ]
    detector: Detector = CentreDetector(Conv(), size=96)
    together, alone = detector.detect(frames), [detector.detect([frame])[0] for frame in frames]
    assert sum(map(len, together)) > 5
    for a, b in zip(together, alone, strict=True):
        assert np.allclose(a.boxes, b.boxes, atol=1e-3) and np.allclose(a.scores, b.scores, atol=1e-5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> dict:
    """What ultralytics saves of a tiny YOLO11, with names for its classes; weights are random."""
    torch.manual_seed(0)
    with _ultralytics_kept_quiet():
        from ultralytics.nn.tasks import DetectionModel
        from ultralytics.utils import ROOT, YAML
    description = YAML.load(ROOT / "cfg/models/11/yolo11.yaml")
    description |= {"scales": {"n": [0.5, 0.125, 256]}, "scale": "n", "nc": 3}
    model = DetectionModel(description, verbose=False).eval()
    for layers in model.model[-1].cv3:  # so that scores spread about a half
        layers[-1].bias.data.fill_(0.0)
        layers[-1].weight.data *= 20
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.fill_(0.05)
    model.names = {0: "bicycle", 1: "Person", 2: "car"}
    model.task, model.args = "detect", {"imgsz": 640}
    return {
        "epoch": -1,
        "model": model,
        "ema": None,
        "best_fitness": np.float64(0.5),
        "date": "today",
        "train_args": {"task": "detect", "project": Path("runs")},
    }


@pytest.fixture(scope="module")
def weights(checkpoint, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("yolo") / "tiny.pt"
    torch.save(checkpoint, path)
    return path


def scene() -> np.ndarray:
    """Noise with structure, RGB."""
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)


def test_a_yolo_file_gives_the_network_that_was_saved(checkpoint, weights) -> None:
    network, names = read_yolo(weights)
    saved = checkpoint["model"].state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
    assert names == {0: "bicycle", 1: "Person", 2: "car"}
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(network.eval()(images)[0], checkpoint["model"](images)[0])


def test_yolo_finds_persons_only_and_sees_rgb(checkpoint, weights) -> None:
    """The boxes are those of cells whose best class is the person's, over the frame in RGB."""
    detector = YoloDetector(weights, size=96, confidence=0.4)
    frame = scene()
    (found,) = detector.detect([frame])
    images, (left, top, sx, sy) = letterbox([frame], 96, fill=114 / 255, centred=True)
    with torch.inference_mode():
        output = checkpoint["model"](images)[0][0]
    persons = (output[4:].argmax(0) == 1) & (output[5] >= 0.4)
    assert detector.name == "tiny" and len(found) > 0
    assert found.scores[0] == pytest.approx(float(output[5][persons].max()), abs=1e-5)
    best = output[:4, persons][:, output[5][persons].argmax()].numpy()
    corners = (np.concatenate([best[:2] - best[2:] / 2, best[:2] + best[2:] / 2]) - [left, top] * 2) / [sx, sy, sx, sy]
    expected = np.clip(corners, 0, [180, 120, 180, 120])
    assert to_corners(found.boxes)[0] == pytest.approx(expected, abs=0.05)
    (swapped,) = detector.detect([frame[..., ::-1].copy()])
    assert len(swapped) != len(found) or not np.allclose(swapped.scores, found.scores)


def test_yolo_is_the_same_twice_and_in_batches(weights) -> None:
    detector = YoloDetector(weights, size=96, confidence=0.4)
    frames = [scene(), scene()[::-1].copy(), scene()[:, ::-1].copy()]
    once, again = detector.detect(frames), [detector.detect([frame])[0] for frame in frames]
    for a, b in zip(once, again, strict=True):
        assert len(a) == len(b) and np.allclose(a.boxes, b.boxes, atol=1e-2)


def test_half_precision_files_are_read_as_float(checkpoint, tmp_path) -> None:
    """Ultralytics stores halves, in a model that it trained as `ema`."""
    import copy

    path = tmp_path / "half.pt"
    torch.save({"model": None, "ema": copy.deepcopy(checkpoint["model"]).half()}, path)
    network, _ = read_yolo(path)
    assert {value.dtype for value in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("names", "person"), [({0: "somebody"}, 0), ({0: "cat", 1: "dog"}, None), (["cat", "person"], 1)]
)
def test_the_person_class_is_found_by_name_or_is_the_only_one(weights, monkeypatch, names, person) -> None:
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    monkeypatch.setattr("vibe_cli.people.detectors.read_yolo", lambda path: (nn.Identity(), listed))
    if person is None:
        with pytest.raises(ModelError, match="none of them a person"):
            YoloDetector(weights)
    else:
        assert YoloDetector(weights).person == person


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_file_that_would_run_code_is_refused_by_the_name_of_what_it_asks_for(checkpoint, tmp_path, protocol) -> None:
    path, mark = tmp_path / "attack.pt", tmp_path / "was-here"
    torch.save({**checkpoint, "extra": Attack(mark)}, path, pickle_protocol=protocol)
    with pytest.raises(ModelError, match=r"asks for (posix|nt)\.mkdir") as caught:
        YoloDetector(path)
    assert caught.value.hint and not mark.exists()


def test_a_description_that_would_run_code_is_refused(checkpoint, tmp_path) -> None:
    """Ultralytics evaluates activations and looks layers up by name; neither gets that far."""
    import copy

    mark = tmp_path / "was-here"
    for change in (
        {"activation": f"__import__('os').mkdir({str(mark)!r})"},
        {"backbone": [[-1, 1, "torch_safe_load", ["x.pt"]]]},
        {"backbone": [[-1, 1, "TorchVision", [3, "resnet18", "DEFAULT"]]]},
        {"head": [[-1, 1, "nn.modules", []]]},
    ):
        model = copy.deepcopy(checkpoint["model"])
        model.yaml = {**model.yaml, **change}
        path = tmp_path / "sly.pt"
        torch.save({"model": model}, path)
        with pytest.raises(ModelError, match="activation|layer"):
            read_yolo(path)
    assert not mark.exists()


def test_objects_of_the_file_are_never_made(checkpoint, tmp_path, monkeypatch) -> None:
    """Not even ultralytics' own classes, whose making can be made to evaluate text."""
    from ultralytics.nn.tasks import DetectionModel

    path = tmp_path / "object.pt"
    torch.save({"model": checkpoint["model"]}, path)
    made = []
    monkeypatch.setattr(DetectionModel, "__setstate__", lambda self, state: made.append(state), raising=False)
    read_yolo(path)
    assert made == []


def test_files_that_are_no_yolo_model_say_so(tmp_path, checkpoint) -> None:
    text, plain, cut, bare = (tmp_path / f"{name}.pt" for name in ("text", "plain", "cut", "bare"))
    text.write_text("hello")
    torch.save({"weights": torch.zeros(3)}, plain)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    cut.write_bytes(buffer.getvalue()[:5000])
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("a.txt", "a")
    for path in (text, plain, cut, bare):
        with pytest.raises(ModelError, match=path.name) as caught:
            YoloDetector(path)
        assert caught.value.hint


def test_a_model_for_another_task_is_refused(checkpoint, tmp_path) -> None:
    from ultralytics.nn.tasks import ClassificationModel

    model = ClassificationModel("yolo11n-cls.yaml", nc=2, verbose=False)
    torch.save({"model": model}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="ClassificationModel"):
        YoloDetector(tmp_path / "other.pt")


def test_without_a_network_a_published_name_says_what_to_do(tmp_path, monkeypatch) -> None:
    from ultralytics.utils import downloads

    monkeypatch.setenv("VIBE_HOME", str(tmp_path))

    def offline(file: str, **options: object) -> str:
        Path(file).write_bytes(b"half a fi")
        raise ConnectionError("no route to host")

    monkeypatch.setattr(downloads, "attempt_download_asset", offline)
    with pytest.raises(ModelError, match="yolo11n.pt: could not be fetched") as caught:
        YoloDetector("yolo11n.pt")
    assert "network" in caught.value.hint and ".pt file" in caught.value.hint
    assert list((tmp_path / "models").iterdir()) == []  # no half file


def test_a_published_name_is_fetched_once_into_the_users_folder(tmp_path, monkeypatch, weights) -> None:
    from ultralytics.utils import downloads

    monkeypatch.setenv("VIBE_HOME", str(tmp_path))
    asked = []

    def give(file: str, **options: object) -> str:
        asked.append(Path(file).name)
        Path(file).write_bytes(weights.read_bytes())
        return file

    monkeypatch.setattr(downloads, "attempt_download_asset", give)
    for _ in range(2):
        assert fetch_yolo("yolo11n.pt") == tmp_path / "models" / "yolo11n.pt"
    assert asked == ["yolo11n.pt"]
    assert YoloDetector("yolo11n.pt").name == "yolo11n"


@pytest.mark.parametrize("name", ["nosuch.pt", "../yolo11n.pt", "folder/yolo11n.pt", "yolo11n"])
def test_a_name_that_nobody_publishes_is_no_such_file(tmp_path, monkeypatch, name: str) -> None:
    monkeypatch.setenv("VIBE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="no such file"):
        YoloDetector(name)


def test_ultralytics_is_imported_without_its_side_effects(tmp_path, weights) -> None:
    """In a process of its own: no settings in the home folder, no output, nothing else changed."""
    script = (
        "import os, sys, cv2, numpy as np, torch\n"
        "from vibe_cli.people.detectors import YoloDetector\n"
        "def state(): return ({k: v for k, v in os.environ.items() if 'INDUCTOR' not in k}, torch.save,\n"
        "                     cv2.getNumThreads(), np.get_printoptions(), torch.get_num_threads())\n"
        "before = state()\n"
        "detector = YoloDetector(sys.argv[1], size=64)\n"
        "detector.detect([np.zeros((64, 64, 3), np.uint8)])\n"
        "assert state() == before\n"
    )
    root = Path(__file__).resolve().parents[2]
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "USERPROFILE": str(home), "APPDATA": str(home), "PYTHONPATH": str(root)}
    hidden = {"YOLO_CONFIG_DIR", "XDG_CONFIG_HOME", "YOLO_VERBOSE", "YOLO_OFFLINE"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | places
    done = subprocess.run(
        [sys.executable, "-c", script, str(weights)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
