"""Keypoints that users bring: OpenPose's and COCO's files, pose models, and whose they are."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.test_demo import demo, tiny  # noqa: F401 (a fixture)
from tests.helpers.tiny import make_walk
from vibe_cli.errors import InputError, ModelError
from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.motion.smplify import OPEN_KEYPOINTS, FitOptions
from vibe_cli.people.keypoint_files import count_from_zero, read_keypoints, spread_to_49
from vibe_cli.people.keypoint_names import placed
from vibe_cli.people.keypoint_sources import PoseModel, join_people, match_people
from vibe_cli.people.yolo_weights import _ultralytics_kept_quiet
from vibe_cli.results import Detections, Result, Track, VideoInfo


def openpose_person(x: float = 100.0, count: int = 25) -> list[float]:
    """Keypoint k at (x + k, 2 k + 1), confidence 0.5."""
    return [value for k in range(count) for value in (x + k, 2.0 * k + 1, 0.5)]


def write_openpose(folder: Path, people: list[list[list[float]]], first: int = 0, name: str = "clip") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, persons in enumerate(people, first):
        content = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": p} for p in persons]}
        (folder / f"{name}_{number:012d}_keypoints.json").write_text(json.dumps(content))
    return folder


def test_openpose_keypoints_are_the_first_25_of_the_49_in_their_order(tmp_path: Path) -> None:
    people = [[openpose_person()], [], [openpose_person(5), openpose_person(9)]]
    found = read_keypoints(write_openpose(tmp_path / "kp", people))
    assert sorted(found) == [0, 1, 2] and [len(found[n]) for n in range(3)] == [1, 0, 2]
    assert np.allclose(found[0][0, :25], np.reshape(openpose_person(), (25, 3)))
    # The same joint elsewhere among the 49 has the same keypoint: the right ankle, 11 of OpenPose's, is LSP's first.
    assert np.allclose(found[0][0, 25], found[0][0, 11]) and JOINTS_49[25] == JOINTS_49[11]
    assert (found[0][0, 37:39, 2] == 0).all(), "LSP's neck and head top are not in BODY_25"


def test_openposes_18_keypoints_have_no_middle_of_the_hips_and_no_feet(tmp_path: Path) -> None:
    found = read_keypoints(write_openpose(tmp_path / "kp", [[openpose_person(count=18)]]))[0][0]
    assert found[8, 2] == 0 and (found[19:25, 2] == 0).all()
    assert np.allclose(found[9], [108, 17, 0.5]), "the right hip is OpenPose's ninth of 18 and tenth of 25"


def coco_person(x: float = 50.0, third: float = 2) -> list[float]:
    return [value for k in range(17) for value in (x + k, k + 1.0, third)]


def test_a_coco_dataset_is_ordered_by_its_images_names(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": name} for i, name in ((7, "a10.jpg"), (3, "a9.jpg"), (5, "a11.jpg"))]
    notes = [
        {"image_id": 7, "keypoints": coco_person(10)},
        {"image_id": 3, "keypoints": coco_person(20, 1)},
        {"image_id": 3, "bbox": [0, 0, 1, 1]},
    ]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": notes}))
    numbered = read_keypoints(tmp_path / "coco.json")
    assert sorted(numbered) == [9, 10, 11], "a clip that goes on before and after has these frames"
    clip = VideoInfo("clip.mp4", 200, 100, Fraction(25), np.arange(3) / 25)
    found = placed(numbered, clip, "coco.json", [])
    assert [len(found[n]) for n in range(3)] == [1, 1, 0]
    nose, left_wrist = 0, 7  # rows among the 49
    assert np.allclose(found[1][0, nose], [10, 1, 1]) and np.allclose(found[1][0, left_wrist], [19, 10, 1])
    assert found[0][0, nose, 2] == 1, "when no keypoint is a 2 the third numbers are confidences"
    hips = [found[1][0, row, 2] for row in (27, 28, 9, 12)]
    assert hips == [1, 1, 0, 0], "COCO's hips are LSP's, not the skeleton's"


@pytest.mark.parametrize("ids", [[0, 1, 1], [1, 2, 2], ["frame_0004.jpg", "frame_0005.jpg", "frame_0005.jpg"]])
def test_coco_results_are_counted_from_zero_or_one_or_the_first(tmp_path: Path, ids: list) -> None:
    results = [
        {"image_id": i, "category_id": 1, "keypoints": coco_person(10 * n, 0.7), "score": 0.9}
        for n, i in enumerate(ids)
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    found = count_from_zero(read_keypoints(tmp_path / "results.json"), 2, tmp_path)
    assert [len(found[n]) for n in (0, 1)] == [1, 2]
    assert np.allclose(found[1][1, 0], [20, 1, 0.7])


def test_frames_nobody_was_found_in_may_be_missing(tmp_path: Path) -> None:
    results = [{"image_id": i, "keypoints": coco_person()} for i in (3, 5)]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert sorted(count_from_zero(read_keypoints(tmp_path / "results.json"), 6, tmp_path)) == [3, 5]


@pytest.mark.parametrize(
    "content, says",
    [
        ("no json at all", "not JSON"),
        ("[]", "no keypoints of anybody"),
        ("[1, 2]", "neither OpenPose's nor COCO's"),
        ('{"images": []}', "neither OpenPose's nor COCO's"),
        ('{"people": [{"face": 1}]}', "not OpenPose's"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "1 keypoints, not 25 or 18"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "not numbers in threes"),
        ('{"people": [{"pose_keypoints_2d": ["a", 2, 3]}]}', "not numbers in threes"),
        ('[{"image_id": 1, "keypoints": [1, 2, 3]}]', "1 keypoints, not 17"),
        ('[{"image_id": "x", "keypoints": [1, 2, 3]}]', "holds no number"),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "keypoints": [1]}]}',
            "KeyError: 2",
        ),
        ('{"people": [{"pose_keypoints_2d": [' + "NaN," * 74 + "NaN]}]}", "not finite"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        read_keypoints(tmp_path / "bad.json")
    assert "\n" not in caught.value.message and caught.value.hint


def test_a_missing_file_an_empty_folder_and_two_clips_in_one_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_keypoints(tmp_path / "none.json")
    with pytest.raises(InputError, match="no \\*_keypoints.json"):
        read_keypoints(tmp_path)
    for name in ("a", "b"):
        write_openpose(tmp_path, [[openpose_person()]], name=name)
    with pytest.raises(InputError, match="two files for frame 0"):
        read_keypoints(tmp_path)


def test_more_frames_than_the_clip_has_are_refused(tmp_path: Path) -> None:
    numbered = read_keypoints(write_openpose(tmp_path / "kp", [[openpose_person()]] * 5))
    with pytest.raises(InputError, match="keypoints of 5 frames, and the clip has 4"):
        count_from_zero(numbered, 4, tmp_path)


def track(number: int, x: float, frames: list[int]) -> Track:
    return Track(
        number,
        np.array(frames),
        np.tile([x, 100.0, 40, 100], (len(frames), 1)),
        np.ones(len(frames)),
        np.zeros(len(frames)),
    )


def person_at(x: float, y: float = 100.0, size: float = 1.0) -> np.ndarray:
    """(49, 3): somebody 30 wide and 90 high about a place."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (25, 2)) * [30, 90] * size + [x, y]
    return spread_to_49(np.concatenate([points, np.full((25, 1), 0.9)], axis=-1))


def test_each_person_goes_to_the_track_it_lies_on_whatever_their_order() -> None:
    tracks = [track(1, 100, [0, 1, 2]), track(2, 160, [1, 2, 3])]
    people = {0: [person_at(103)], 1: [person_at(158), person_at(97)], 3: [person_at(165)]}
    people = {frame: np.stack(persons) for frame, persons in people.items()}
    one, two = match_people(tracks, people)
    middle = [np.median(points[:25, 0]) for points in (*one[:2], two[0], two[2])]
    assert np.allclose(middle, [103, 97, 158, 165], atol=5)
    assert not one[2].any() and not two[1].any(), "frame 2 has nobody"


def test_two_people_over_one_track_leave_the_other_track_with_none() -> None:
    tracks = [track(1, 100, [0]), track(2, 400, [0])]
    one, two = match_people(tracks, {0: np.stack([person_at(110), person_at(101)])})
    assert np.median(one[0, :25, 0]) == pytest.approx(101, abs=5) and not two.any()


def test_someone_far_away_or_of_a_single_keypoint_is_nobodys() -> None:
    lonely = np.zeros((49, 3), np.float32)
    lonely[0] = [100, 100, 1]
    assert not match_people([track(1, 100, [0])], {0: np.stack([person_at(300), lonely])})[0].any()


@pytest.fixture(scope="module")
def pose_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained pose model of ultralytics, as it saves one, whose scores spread about a half."""
    torch.manual_seed(0)
    with _ultralytics_kept_quiet():
        from ultralytics.nn.tasks import PoseModel as Network
        from ultralytics.utils import ROOT, YAML
    description = YAML.load(ROOT / "cfg/models/11/yolo11-pose.yaml")
    description |= {"scales": {"n": [0.5, 0.125, 256]}, "scale": "n", "nc": 1}
    model = Network(description, data_kpt_shape=(17, 3), verbose=False).eval()
    for layers in model.model[-1].cv3:
        layers[-1].bias.data.fill_(0.0)
        layers[-1].weight.data *= 20
    model.names = {0: "person"}
    path = tmp_path_factory.mktemp("pose") / "tiny-pose.pt"
    torch.save({"epoch": -1, "model": model, "ema": None}, path)
    return path


def test_a_pose_model_gives_coco_keypoints_in_pixels_of_the_frame(pose_weights: Path, monkeypatch) -> None:
    source = PoseModel(pose_weights)
    frame = np.random.default_rng(0).integers(0, 256, (120, 180, 3), dtype=np.uint8)
    people = source.detect(frame)
    assert people.shape[1:] == (49, 3) and len(people) > 0
    assert (people[:, 8, 2] == 0).all(), "COCO has no middle of the hips"
    # One anchor with known numbers: a network input of 640 × 448, the frame scaled by 640 / 180, 10 rows above it.
    rows = torch.zeros(1, 4 + 1 + 51, 2)
    rows[0, :5, 0] = torch.tensor([320, 224, 100, 200, 0.9])
    rows[0, 5::3, 0], rows[0, 6::3, 0], rows[0, 7::3, 0] = 320.0, 224.0, 0.8

    class Known(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.nn.Sequential(torch.nn.Identity())

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, None]:
            assert images.shape == (1, 3, 448, 640)
            return rows, None

    monkeypatch.setattr(source, "network", Known())
    found = source.detect(frame)
    assert found.shape == (1, 49, 3) and np.allclose(found[0, 0], [90, 60, 0.8], atol=0.2)


def test_a_pose_model_looks_at_the_frames_that_pass(pose_weights: Path) -> None:
    source, rng = PoseModel(pose_weights), np.random.default_rng(0)
    frames = [(index, rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)) for index in (0, 1, 4)]
    assert [index for index, _ in source.watch(frames)] == [0, 1, 4]
    assert sorted(source.people(5)) == [0, 1, 4]
    assert np.array_equal(source.people(5)[4], source.detect(frames[2][1]))


def test_info_and_import_say_how_a_pose_model_is_used(vibe, home: Path, pose_weights: Path) -> None:
    answer = vibe("info", pose_weights)
    assert answer.code == 0 and "(YOLO) pose model" in answer.out and f"--keypoints {pose_weights}" in answer.out
    answer = vibe("models", "import", pose_weights)
    assert answer.code == 4 and f"of a pose model: --keypoints {pose_weights}" in answer.lines[1]


def test_a_pose_model_in_the_users_folder_is_not_taken_for_a_detector(home: Path) -> None:
    from vibe_cli.zoo.fetched import own_yolo_files

    (home / ".vibe" / "models").mkdir(parents=True)
    for name in ("yolo11n-pose.pt", "yolo11s-seg.pt", "yolov8n.pt"):
        (home / ".vibe" / "models" / name).write_bytes(b"")
    assert [path.name for path in own_yolo_files()] == ["yolov8n.pt"]


def test_a_detection_model_is_no_pose_model(tmp_path: Path) -> None:
    with _ultralytics_kept_quiet():
        from ultralytics.nn.tasks import DetectionModel
    torch.save({"model": DetectionModel("yolo11n.yaml", nc=1, verbose=False)}, tmp_path / "detect.pt")
    with pytest.raises(ModelError, match="not an ultralytics pose model"):
        PoseModel(tmp_path / "detect.pt")


def walking(frames: int) -> list[list[list[float]]]:
    """BODY_25 of the post of `make_walk`, a box of 10 to 20 pixels about the frame's middle, moving a pixel a frame."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(-0.5, 0.5, (25, 2)) * [10, 44]
    return [
        [np.concatenate([shape + [20 + t, 32], np.ones((25, 1))], axis=1).flatten().tolist()] for t in range(frames)
    ]


def test_given_keypoints_count_by_their_confidence_the_encoders_own_by_more(
    vibe,
    home: Path,
    tiny,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, asked = make_walk(home / "walk.mp4", frames=12), []
    monkeypatch.setattr(
        "vibe_cli.motion.regress.refine_person", lambda person, _, options, **_others: asked.append(options) or person
    )
    for more in (["--keypoints", write_openpose(home / "kp", walking(12))], []):
        assert demo(vibe, clip, "-o", f"out{len(more)}", *more).code == 0
    assert asked == [FitOptions(), OPEN_KEYPOINTS] and OPEN_KEYPOINTS.trust > FitOptions().trust == 1


def test_given_keypoints_take_the_encoders_place_in_the_result(vibe, home: Path, tiny) -> None:  # noqa: F811
    clip = make_walk(home / "walk.mp4", frames=12)
    given = write_openpose(home / "kp", walking(12))
    runs = {"given": ["--keypoints", given], "without": ["--no-refine", "--keypoints", given], "own": []}
    for name, more in runs.items():
        assert demo(vibe, clip, "-o", name, *more).code == 0
    given, without, own = (Result.load(home / name / "walk" / "result.npz").people[0] for name in runs)
    brought = np.reshape([people[0] for people in walking(12)], (12, 25, 3))
    assert np.allclose(given.keypoints[:, :25], brought, atol=1e-3)
    assert (given.keypoints[:, 37:39, 2] == 0).all() and own.keypoints[:, 37:39, 2].any()
    assert not np.allclose(given.pose, without.pose) and not np.allclose(given.pose, own.pose)


@pytest.mark.parametrize(
    "name, says",
    [
        ("none.json", "no such file"),
        ("text.json", "not JSON"),
        ("far.json", "none of the given keypoints lies on anybody"),
    ],
)
def test_bad_keypoints_are_one_line_and_exit_3(name: str, says: str, vibe, home: Path, tiny) -> None:  # noqa: F811
    (home / "text.json").write_text("{")
    far = [{"image_id": 0, "keypoints": coco_person(5000)}]
    (home / "far.json").write_text(json.dumps(far))
    answer = demo(vibe, make_walk(home / "walk.mp4", frames=6), "--keypoints", home / name)
    assert answer.code == 3 and len(answer.lines) == 2 and says in answer.lines[0]
    assert not (home / "output").exists()


def test_one_file_of_keypoints_does_not_go_with_two_clips(vibe, home: Path, tiny) -> None:  # noqa: F811
    answer = demo(vibe, "a.mp4", "b.mp4", "--keypoints", "kp")
    assert answer.code == 2 and "keypoints of one clip for 2" in answer.lines[0]


def test_people_of_a_file_become_tracks_where_the_detector_finds_nobody(vibe, home: Path, tiny) -> None:  # noqa: F811
    clip = make_walk(home / "dark.mp4", frames=12, people=0)
    assert demo(vibe, clip, "-o", "alone").code == 3
    assert demo(vibe, clip, "-o", "given", "--keypoints", write_openpose(home / "kp", walking(12))).code == 0
    (person,) = Result.load(home / "given" / "dark" / "result.npz").people
    brought = np.reshape([people[0] for people in walking(12)], (12, 25, 3))
    assert person.frames.tolist() == list(range(12)) and np.allclose(person.keypoints[:, :25], brought, atol=1e-3)


def test_who_both_found_is_one_person_with_the_box_of_the_keypoints() -> None:
    rng = np.random.default_rng(0)
    person = np.zeros((49, 3), np.float32)
    person[:17] = np.column_stack([rng.uniform(40, 60, 17), rng.uniform(10, 90, 17), np.full(17, 0.8)])
    found = Detections(np.array([[50, 50, 40, 60], [150, 50, 20, 60]], np.float32), np.array([0.9, 0.6], np.float32))
    stray = person.copy()
    stray[:, 0] += 500  # outside of the picture
    (joined,) = join_people([found], {0: np.stack([person, stray])}, (200, 100))
    assert len(joined) == 2 and joined.scores.tolist() == pytest.approx([0.9, 0.6])
    points = person[:17, :2]
    assert joined.boxes[0, 2:] == pytest.approx(np.ptp(points, axis=0) * 1.15, rel=1e-4)
    assert joined.boxes[1].tolist() == [150, 50, 20, 60]


def test_a_few_stray_keypoints_are_nobody() -> None:
    few = np.zeros((1, 49, 3), np.float32)
    few[0, :4] = [50, 50, 0.9]
    (joined,) = join_people([Detections.empty()], {0: few}, (200, 100))
    assert len(joined) == 0
