"""`vibe eval` from folder to table, with tiny random models and tiny data sets."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.datasets.test_datasets import make_3dpw
from tests.datasets.test_datasets_2d import make_cache, make_coco, make_penn
from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from tests.helpers.official_files import write_official_files
from tests.helpers.tiny import install_model
from vibe_cli.importing.library import import_file
from vibe_cli.results import Detections


@pytest.fixture
def tiny(home: Path) -> Path:
    """The tiny random model, its encoder, and two more runs of it by their folders."""
    torch.set_num_threads(1)
    install_model(home / ".vibe" / "models")
    return home


def numbers(folder: Path) -> dict:
    """What metrics.json holds."""
    return json.loads((folder / "metrics.json").read_text("utf-8"))


def test_motion_gives_tables_numbers_and_plots(vibe, tiny: Path) -> None:
    make_cache(tiny / "cache", clips=3, length=10)
    answer = vibe("eval", "--dataset", "synthetic", tiny / "cache", "--model", "tiny", "--device", "cpu")
    assert answer.code == 0, answer.err
    folder = tiny / "output" / "eval" / "synthetic"
    assert sorted(path.name for path in folder.iterdir()) == ["joints.png", "metrics.json", "table.md", "time.png"]
    content = numbers(folder)
    assert content["format"] == "vibe-evaluation" and content["protocol"]["frames"] == "30 in 3 sequences"
    (model,) = content["models"]
    assert set(model["mean"]) >= {"pa_mpjpe", "mpjpe", "pve", "accel", "accel_err", "pck"}
    assert 0 < model["mean"]["pa_mpjpe"] < model["mean"]["mpjpe"] and len(model["runs"][0]["per_joint"]) == 14
    assert model["runs"][0]["by_orientation"]["front"]["frames"] == 30
    assert "PA-MPJPE" in answer.out and "data in training of tiny: not stated" in answer.out
    assert f"| tiny | {model['mean']['pa_mpjpe']:.1f} |" in (folder / "table.md").read_text("utf-8")
    for name in ("joints.png", "time.png"):
        picture = cv2.imread(str(folder / name))
        assert picture is not None and picture.std() > 10


def test_runs_of_one_system_are_averaged_and_several_stand_beside_each_other(vibe, tiny: Path) -> None:
    make_cache(tiny / "cache", clips=1, length=10)
    models = tiny / ".vibe" / "models"
    config = (models / "tiny" / "config.yaml").read_text("utf-8")
    from safetensors.torch import load_file, save_file

    for number in (1, 2):
        (tiny / f"run{number}").mkdir()
        (tiny / f"run{number}" / "config.yaml").write_text(config)
        weights = load_file(models / "tiny" / "weights.safetensors")
        torch.manual_seed(number)
        weights["regressor.init_pose"] += 0.1 * torch.randn(1, 144)
        save_file(weights, tiny / f"run{number}" / "weights.safetensors")
    answer = vibe(
        "eval",
        "--dataset",
        "synthetic",
        "cache",
        "--model",
        "tiny",
        "--model",
        "mine=run1,run2",
        "-o",
        "out",
        "--device",
        "cpu",
        "--no-plots",
    )
    assert answer.code == 0, answer.err
    single, several = numbers(tiny / "out")["models"]
    runs = [run["mpjpe"] for run in several["runs"]]
    assert single["std"]["mpjpe"] is None and several["std"]["mpjpe"] == pytest.approx(np.std(runs, ddof=1))
    assert several["mean"]["mpjpe"] == pytest.approx(np.mean(runs)) and runs[0] != runs[1]
    assert "±" in answer.out and not (tiny / "out" / "joints.png").exists()


def test_3dpw_needs_smpl_and_then_says_its_protocol(vibe, tiny: Path) -> None:
    make_3dpw(tiny / "3dpw")
    answer = vibe("eval", "--dataset", "3dpw", "3dpw", "--model", "tiny", "--device", "cpu")
    assert answer.code == 4 and "SMPL" in answer.err and "vibe models import" in answer.err
    assert not (tiny / "output" / "eval" / "3dpw").exists()
    write_official_pickle(tiny / "SMPL_NEUTRAL.pkl", smpl_arrays())
    for kind, rows in (("extra", 9), ("h36m", 17)):
        np.save(tiny / f"{kind}.npy", extra_regressor(rows))
        import_file(tiny / f"{kind}.npy")
    import_file(tiny / "SMPL_NEUTRAL.pkl")
    answer = vibe(
        "eval", "--dataset", "3dpw", "3dpw", "--model", "tiny", "--body", "smpl", "--device", "cpu", "--cache", "kept"
    )
    assert answer.code == 0, answer.err
    content = numbers(tiny / "output" / "eval" / "3dpw")
    assert "J_regressor_h36m" in content["protocol"]["joints"] and "male" in content["protocol"]["note 1"]
    assert content["models"][0]["mean"]["pve"] > 0 and content["models"][0]["runs"][0]["frames"] == 7
    assert len(list((tiny / "kept" / "3dpw-test").rglob("*.npz"))) == 2
    other = vibe("eval", "--dataset", "3dpw", "3dpw", "--model", "tiny", "--device", "cpu", "-o", "open", "--no-plots")
    assert other.code == 0, other.err
    assert "14 LSP joints" in numbers(tiny / "open")["protocol"]["joints"]
    assert numbers(tiny / "open")["models"][0]["mean"]["pve"] is None  # meshes of different bodies are not compared


def test_keypoints_on_photographs_beside_the_mean_pose(vibe, tiny: Path) -> None:
    make_coco(tiny / "coco")
    answer = vibe(
        "eval", "--dataset", "coco-keypoints", "coco", "--model", "tiny-encoder", "--model", "tiny", "--device", "cpu"
    )
    assert answer.code == 0, answer.err
    content = numbers(tiny / "output" / "eval" / "coco-keypoints")
    rows = {model["label"]: model["mean"]["pck@0.1"] for model in content["models"]}
    assert list(rows) == ["mean pose", "tiny-encoder: keypoints", "tiny: keypoints", "tiny: body"]
    assert rows["mean pose"] == 1  # of a single person
    assert rows["tiny-encoder: keypoints"] == rows["tiny: keypoints"] and "1, with at least 8" in answer.out
    assert (tiny / "output" / "eval" / "coco-keypoints" / "joints.png").is_file()


def test_keypoints_in_videos_are_measured_the_same_way(vibe, tiny: Path) -> None:
    make_penn(tiny / "penn", bbox=np.tile([2.0, 1, 12, 101], (3, 1)))
    answer = vibe(
        "eval", "--dataset", "penn-action", "penn", "--model", "tiny-encoder", "--device", "cpu", "--no-plots"
    )
    assert answer.code == 0, answer.err
    assert numbers(tiny / "output" / "eval" / "penn-action")["models"][1]["runs"][0]["people"] == 3


def test_whoever_is_measured_on_what_they_learned_from_is_told(vibe, tiny: Path) -> None:
    make_penn(tiny / "penn", bbox=np.tile([2.0, 1, 12, 101], (3, 1)))
    file = tiny / ".vibe" / "models" / "tiny-encoder" / "config.yaml"
    before = file.read_text("utf-8")
    for split, warned in (("test", True), ("train", False)):
        file.write_text(f"{before}data: Penn Action, {split} (research)\n", "utf-8")
        answer = vibe(
            "eval",
            "--dataset",
            "penn-action",
            "penn",
            "--model",
            "tiny-encoder",
            "--device",
            "cpu",
            "--no-plots",
            "-o",
            split,
        )
        assert answer.code == 0, answer.err
        assert ("tiny-encoder: keypoints learned from Penn Action, test itself" in answer.err) == warned


def test_detectors_are_measured_by_recall(vibe, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Perfect:
        def detect(self, frames: list[np.ndarray]) -> list[Detections]:
            return [Detections(np.array([[40.0, 70, 60, 100]]), np.array([0.8])) for _ in frames]

    make_coco(tiny / "coco")
    monkeypatch.setattr("vibe_cli.evaluation.candidates.load_detector", lambda name, device: (Perfect(), name))
    answer = vibe("eval", "--dataset", "coco-people", "coco", "--model", "mine.pt", "--device", "cpu")
    assert answer.code == 0, answer.err
    content = numbers(tiny / "output" / "eval" / "coco-people")
    mean = content["models"][0]["mean"]
    assert (mean["recall@0.25"], mean["recall@1"], mean["recall"]) == (0, 1, 1)  # one find is false, in two pictures
    assert (tiny / "output" / "eval" / "coco-people" / "recall.png").is_file()


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["--dataset", "3dpw", "nowhere"], 3, "no such folder"),
        (["--dataset", "3dpw", "empty"], 3, "sequenceFiles/test: missing"),
        (["--dataset", "synthetic", "empty"], 3, "missing"),
        (["--dataset", "3dpw", "empty", "--split", "dev"], 3, "no split named dev"),
        (["--dataset", "synthetic", "empty", "--model", "absent"], 4, "no model named absent"),
        (["--dataset", "synthetic", "empty", "--model", "tiny-encoder"], 4, "no temporal model"),
        (["--dataset", "coco-people", "empty", "--model", "tiny"], 4, "no detector"),
        (["--dataset", "amass", "empty"], 2, "nothing is evaluated on amass"),
        (["--dataset", "mnist", "empty"], 2, "mnist"),
        (["--dataset", "synthetic", "empty", "--model", "a,b"], 2, "not a model"),
        (["--dataset", "synthetic", "empty", "--model", "tiny", "--model", "tiny"], 2, "two models of the label tiny"),
        (["--dataset", "synthetic", "empty", "--cache", "/dev/null/x"], 3, "cannot write there"),
        (["empty"], 2, "--dataset"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(vibe, tiny: Path, arguments: list[str], code: int, said: str) -> None:
    (tiny / "empty").mkdir()
    choices = [] if "--model" in arguments else ["--model", "tiny"]
    answer = vibe("eval", *arguments, *choices, "--device", "cpu")
    assert answer.code == code and said in answer.err, answer.err
    assert not (tiny / "output").exists() or not list((tiny / "output").rglob("*.json"))


def test_nobody_who_counts_is_told(vibe, tiny: Path) -> None:
    make_coco(tiny / "coco")
    path = tiny / "coco/annotations/person_keypoints_val2017.json"
    path.write_text(path.read_text().replace("[10, 20, 60, 100]", "[10, 20, 60, 70]"))
    for dataset in ("coco-keypoints", "coco-people"):
        answer = vibe(
            "eval",
            "--dataset",
            dataset,
            "coco",
            "--device",
            "cpu",
            "--model",
            "tiny-encoder" if dataset == "coco-keypoints" else "open-detector",
        )
        assert answer.code == 3 and ("nobody" in answer.err), answer.err


@pytest.mark.slow
def test_imported_official_weights_are_evaluated_on_3dpw_by_the_published_protocol(vibe, home: Path) -> None:
    for path in write_official_files(home).values():
        import_file(path)
    make_3dpw(home / "3dpw")
    answer = vibe("eval", "--dataset", "3dpw", "3dpw", "--model", "vibe", "--device", "cpu")
    assert answer.code == 0, answer.err
    content = numbers(home / "output" / "eval" / "3dpw")
    assert "J_regressor_h36m" in content["protocol"]["joints"] and content["protocol"]["body of the models"] == "smpl"
    assert set(content["models"][0]["mean"].values()).isdisjoint({None})
    assert "published weights (VIBE's data archive" in content["models"][0]["runs"][0]["data"]
