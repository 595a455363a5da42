"""Facts about how models are measured, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.datasets.test_datasets import make_3dpw
from tests.datasets.test_datasets_2d import make_cache
from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from tests.helpers.tiny import TEMPORAL, install_model
from vibe_cli.body.body_models import load_body
from vibe_cli.datasets import open_dataset
from vibe_cli.datasets.features import Features, FrozenEncoder
from vibe_cli.datasets.sequence import ArrayFrames, Sequence
from vibe_cli.errors import InputError, ModelError, UsageError
from vibe_cli.evaluation import candidates, motion, people, photographs
from vibe_cli.evaluation.metrics import SIDES_EXCHANGED_14
from vibe_cli.evaluation.report import MOTION, Report, Row, cell
from vibe_cli.evaluation.truth import FACINGS, H36M, LSP, Geometry, Truth, facings, smpl_of
from vibe_cli.geometry.skeleton import H36M_TO_14
from vibe_cli.importing.library import import_file
from vibe_cli.options import RAW
from vibe_cli.results import Detections
from vibe_cli.zoo.reader import load_model

RNG = np.random.default_rng(3)
JOINTS = RNG.normal(0, 0.3, (6, 14, 3))


def truth(valid: np.ndarray | None = None) -> Truth:
    """JOINTS as truth, facing the camera."""
    return Truth(
        JOINTS, np.ones(6, bool) if valid is None else valid, JOINTS.repeat(3, axis=1), "open", np.zeros(6, int)
    )


def test_the_truth_itself_has_no_error() -> None:
    numbers = motion.summarise([motion.compare("a", JOINTS, JOINTS.repeat(3, axis=1), "open", truth())])
    assert numbers["mpjpe"] == numbers["pve"] == numbers["accel_err"] == 0 and numbers["pa_mpjpe"] < 1e-9
    assert numbers["pck"] == 1 and numbers["frames"] == 6 and numbers["accel"] > 0


def test_a_known_turn_and_scale_are_errors_of_mpjpe_and_none_of_pa_mpjpe() -> None:
    turned = 1.3 * JOINTS @ Rotation.from_euler("y", 40, degrees=True).as_matrix().T + [1, 2, 3]
    numbers = motion.summarise([motion.compare("a", turned, None, "open", truth())])
    assert numbers["mpjpe"] > 50 and numbers["pa_mpjpe"] < 1e-9 and numbers["pve"] is None


def test_numbers_are_those_of_the_joints_that_are_off() -> None:
    off = JOINTS.copy()
    off[:, 9, 0] += 0.16  # the left shoulder, by more than PCK's 150 mm
    numbers = motion.summarise([motion.compare("a", off, None, "open", truth())])
    assert numbers["mpjpe"] == pytest.approx(160 / 14) and numbers["pck"] == pytest.approx(13 / 14)
    assert numbers["per_joint"]["left shoulder"]["mpjpe"] == pytest.approx(160)
    assert numbers["per_joint"]["right shoulder"]["mpjpe"] == pytest.approx(0, abs=1e-9)


def test_frames_that_are_not_valid_count_in_nothing_and_their_neighbours_not_in_accelerations() -> None:
    valid, off = np.array([1, 1, 1, 0, 1, 1], bool), JOINTS.copy()
    off[3] = JOINTS[3] + RNG.normal(0, 5, (14, 3))
    score = motion.compare("a", off, None, "open", truth(valid))
    assert np.nanmax(score.errors) < 1e-9 and np.isnan(score.errors[3]).all()
    assert np.isfinite(score.accel_err).tolist() == [False, True, False, False, False, False]
    assert motion.summarise([score])["frames"] == 5


def test_exchanged_sides_are_told_and_what_would_be_without_them() -> None:
    mixed = JOINTS.copy()
    mixed[:3] = JOINTS[:3][:, SIDES_EXCHANGED_14]
    numbers = motion.summarise([motion.compare("a", mixed, None, "open", truth())])
    assert numbers["swapped"] == 0.5 and numbers["mpjpe"] > 50 and numbers["mpjpe_if_never_swapped"] < 1e-9


def test_people_face_where_their_root_says() -> None:
    upright = Rotation.from_euler("x", 180, degrees=True)  # y up, facing +z → y down, facing the camera
    turns = [
        Rotation.from_euler(axis, angle, degrees=True) * upright
        for axis, angle in (("y", 0), ("y", 90), ("y", 180), ("z", 90))
    ]
    pose = np.zeros((4, 24, 3))
    pose[:, 0] = [turn.as_rotvec() for turn in turns]
    assert [FACINGS[number] for number in facings(pose)] == ["front", "side", "back", "not upright"]
    numbers = motion.summarise(
        [
            motion.compare(
                "a", JOINTS, None, "open", Truth(JOINTS, np.ones(6, bool), None, None, np.array([0, 0, 2, 2, 2, -1]))
            )
        ]
    )
    assert {name: part["frames"] for name, part in numbers["by_orientation"].items()} == {"front": 2, "back": 3}


@pytest.fixture
def smpl(home: Path) -> Path:
    """Three imported SMPL bodies of different shape, and both regressors."""
    for seed, (name, file) in enumerate(
        (("smpl-male", "a.pkl"), ("two", "basicModel_f_lbs_10_207_0_v1.0.0.pkl"), ("three", "SMPL_NEUTRAL.pkl"))
    ):
        write_official_pickle(home / file, smpl_arrays(seed))
        import_file(home / file, name=name)
    np.save(home / "extra.npy", extra_regressor())
    np.save(home / "h36m.npy", extra_regressor(17, seed=5))
    import_file(home / "extra.npy")
    import_file(home / "h36m.npy")
    return home


def test_3dpw_truth_is_of_each_persons_gender_and_of_human36ms_joints(smpl: Path) -> None:
    content = make_3dpw(smpl / "3dpw")
    geometry = Geometry()
    assert smpl_of("female").parent.name == "two" and smpl_of("male").parent.name == "smpl-male"
    for sequence, name in zip(open_dataset("3dpw", smpl / "3dpw"), ("smpl-male", "two"), strict=True):
        body = load_body(name)
        kind = geometry.kind_of_joints(body)
        found = geometry.truth_of(sequence, kind)
        pose = torch.from_numpy(Rotation.from_rotvec(sequence.pose.reshape(-1, 3)).as_matrix().reshape(4, 24, 3, 3))
        output = body(pose.float(), torch.from_numpy(sequence.betas))
        seventeen = np.einsum("jv,tvc->tjc", extra_regressor(17, seed=5), output.vertices.numpy())
        assert kind == H36M and np.allclose(found.joints, seventeen[:, H36M_TO_14], atol=1e-4)
        assert np.allclose(found.vertices, output.vertices.numpy(), atol=1e-5) and found.body == "smpl"
    assert geometry.notes == [] and content["genders"] == ["m", "f"]


def test_without_the_gendered_bodies_the_truth_is_posed_on_another_and_that_is_said(home: Path) -> None:
    make_3dpw(home / "3dpw")
    sequence = next(iter(open_dataset("3dpw", home / "3dpw")))
    with pytest.raises(ModelError, match="SMPL") as caught:
        Geometry().truth_of(sequence, LSP)
    assert "vibe models import" in caught.value.hint
    write_official_pickle(home / "SMPL_NEUTRAL.pkl", smpl_arrays())
    np.save(home / "extra.npy", extra_regressor())
    import_file(home / "SMPL_NEUTRAL.pkl")
    import_file(home / "extra.npy")
    geometry = Geometry()
    geometry.truth_of(sequence, LSP)
    assert "male people" in geometry.notes[0]


def test_2d_data_has_no_3d_truth() -> None:
    with pytest.raises(InputError, match="no joints in 3D"):
        Geometry().truth_of(Sequence(name="a", length=2, fps=1, joints2d=np.ones((2, 49, 3))), LSP)


@pytest.mark.parametrize("network", TEMPORAL)
def test_every_network_is_evaluated_and_batches_change_nothing(home: Path, network: str) -> None:
    install_model(home / ".vibe" / "models", TEMPORAL[network])
    make_cache(home / "cache", clips=2, length=9)
    entrants = candidates.open_models(["tiny"], None, "cpu", "float32")
    found = []
    for batch in (3, 16) if network == "dts_vibe" else (16,):
        scores = motion.evaluate_motion(
            lambda size: open_dataset("synthetic", home / "cache", size=size),
            entrants,
            Features(None, "synthetic", batch),
            RAW,
            Geometry(),
        )
        (run,) = scores["tiny"]
        found.append(motion.summarise(run.sequences))
    assert found[0]["frames"] == 18 and found[0]["sequences"] == 2 and found[0]["pve"] > 0
    assert found[0]["mpjpe"] == pytest.approx(found[-1]["mpjpe"], rel=1e-3)


def test_an_smpl_model_and_the_open_bodys_truth_are_compared_by_the_joints_that_both_have(smpl: Path) -> None:
    install_model(smpl / ".vibe" / "models")
    make_cache(smpl / "cache", clips=1, length=5)
    entrants = candidates.open_models(["tiny"], "smpl-male", "cpu", "float32")
    geometry = Geometry()
    scores = motion.evaluate_motion(
        lambda size: open_dataset("synthetic", smpl / "cache", size=size),
        entrants,
        Features(None, "synthetic", 16),
        RAW,
        geometry,
    )
    assert geometry.kind_of_joints(entrants[0].runs[0].model.body) == H36M and scores["tiny"][0].joints == LSP
    assert LSP in motion.protocol(scores, geometry, RAW, 1, 5)["joints"]


def test_features_are_computed_once_for_each_encoder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_model(home / ".vibe" / "models")
    make_cache(home / "cache", clips=1)
    model = load_model("tiny", device="cpu")
    (sequence,) = open_dataset("synthetic", home / "cache", size=32)
    first = Features(home / "kept", "synthetic").of(sequence, model)
    (file,) = (home / "kept").rglob("*.npz")
    monkeypatch.setattr(ArrayFrames, "read", lambda *_: pytest.fail("looked at again"))
    again = Features(home / "kept", "synthetic").of(sequence, model)
    for name in ("features", "boxes", "keypoints"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    file.write_bytes(b"damaged")
    with pytest.raises(pytest.fail.Exception):
        Features(home / "kept", "synthetic").of(sequence, model)
    monkeypatch.undo()
    with torch.no_grad():
        next(model.encoder.parameters()).add_(0.5)
    other = Features(home / "kept", "synthetic").of(sequence, model)
    assert not np.allclose(other.features, first.features)
    assert len(list((home / "kept" / "synthetic").iterdir())) == 2
    wider = FrozenEncoder(model.encoder, model.crop_size, 1.5, model.device, model.dtype)
    assert Features(None, "a").key(wider) != Features(None, "a").key(model)


def label_people(count: int = 2, side: float = 100.0) -> photographs.People:
    """People with everything visible but the last joint of the second."""
    labels = np.concatenate(
        [RNG.uniform(0, 100, (count, len(photographs.ROWS), 2)), np.ones((count, len(photographs.ROWS), 1))], axis=-1
    )
    labels[1, -1, 2] = 0.5
    return photographs.People(labels, np.tile([50.0, 50, side / 2, side], (count, 1)), {})


def test_pck_counts_visible_keypoints_within_a_share_of_the_larger_side() -> None:
    marked = label_people()
    points, total = marked.labels[..., :2].copy(), 2 * len(photographs.ROWS) - 1
    points[0, 0, 0] += 9.9  # right at 0.1
    points[0, 1, 1] += 10.1  # right at 0.2 only
    points[0, 2, 0] += 20.1  # wrong
    points[1, -1] += 1000  # not plainly visible
    numbers = photographs.measure(points, marked)
    assert numbers["pck@0.1"] == pytest.approx((total - 2) / total)
    assert numbers["pck@0.2"] == pytest.approx((total - 1) / total)
    assert numbers["people"] == 2 and numbers["swapped"] == 0


def test_pck_if_sides_were_never_exchanged() -> None:
    marked = label_people()
    points = marked.labels[..., :2].copy()
    points[0] = points[0][photographs.EXCHANGED]
    numbers = photographs.measure(points, marked)
    assert numbers["pck@0.1"] < 0.9 and numbers["pck@0.1_if_never_swapped"] == 1 and numbers["swapped"] == 0.5


def test_the_mean_pose_lies_in_each_box_at_its_size() -> None:
    marked = label_people()
    marked.labels[1] = marked.labels[0]
    marked.labels[1, :, :2] = (marked.labels[0, :, :2] - 50) * 3 + 200
    marked.boxes[1] = [200, 200, 150, 300]
    assert np.allclose(photographs.mean_pose(marked), marked.labels[..., :2])


def test_only_large_and_well_marked_people_count() -> None:
    points = np.zeros((4, 49, 3))
    points[:, photographs.ROWS[:8], 2] = 1
    points[1, photographs.ROWS[0], 2] = 0.5
    boxes = np.tile([50.0, 50, 20, 80], (4, 1))
    boxes[2, 3] = 79
    sequence = Sequence(name="a", length=4, fps=1, joints2d=points, boxes=boxes, valid=np.array([1, 1, 1, 0]))
    assert photographs.countable(sequence).tolist() == [0]


def test_finds_are_right_once_a_person_and_those_on_others_do_not_count() -> None:
    boxes = np.array([[50.0, 50, 40, 100], [200, 50, 40, 100], [300, 50, 20, 40], [400, 100, 150, 200]])
    wanted = np.array([True, True, False, False])
    found = Detections(
        np.array(
            [
                [50, 50, 40, 100],
                [52, 50, 40, 100],
                [300, 50, 20, 40],
                [420, 100, 150, 200],
                [600, 50, 40, 100],
                [215, 50, 40, 100],
            ]
        ),
        np.linspace(0.9, 0.4, 6),
    )
    assert people.judge(found, boxes, wanted) == [(pytest.approx(0.9), True), (pytest.approx(0.5), False)]
    assert people.judge(found, np.zeros((0, 4)), np.zeros(0, bool))[0] == (pytest.approx(0.9), False)


def test_recall_is_read_where_the_false_finds_reach_the_rate() -> None:
    right = np.array([1, 0, 1, 0, 0, 1, 0], bool)
    numbers = people.summarise(people.Finds(np.linspace(0.9, 0.3, 7), right, people=5, pictures=4))
    assert numbers["recall@0.25"] == pytest.approx(2 / 5) and numbers["score@0.25"] == pytest.approx(0.7)
    assert numbers["recall@0.5"] == pytest.approx(2 / 5) and numbers["recall@1"] == pytest.approx(3 / 5)
    nothing = people.summarise(people.Finds(np.zeros(0), np.zeros(0, bool), people=5, pictures=4))
    assert nothing["recall@1"] == 0 and nothing["score@1"] is None


def test_runs_of_a_system_give_a_mean_and_a_deviation() -> None:
    runs = [{"mpjpe": 90.0, "pve": None}, {"mpjpe": 100.0, "pve": None}, {"mpjpe": 110.0, "pve": None}]
    assert cell(runs, MOTION[1]) == "100.0 ± 10.0" and cell(runs[:1], MOTION[1]) == "90.0"
    assert cell(runs, MOTION[2]) == "–"
    report = Report(
        "set", "folder", "test", {"boxes": "true"}, MOTION[1:3], [Row("vibe", runs, ["a", "b", "c"], ["x"] * 3)]
    )
    assert "| vibe | 100.0 ± 10.0 | – |" in report.markdown() and "- boxes: true" in report.markdown()
    assert report.content()["models"][0]["std"] == {"mpjpe": pytest.approx(10.0), "pve": None}
    assert any("standard deviation" in line and "3 of vibe" in line for line in report.lines())


def test_models_are_named_alone_or_as_runs_of_a_label() -> None:
    assert candidates.parse("open-vibe") == ("open-vibe", ["open-vibe"])
    assert candidates.parse("vibe=a,b,c") == ("vibe", ["a", "b", "c"])
    for bad in ("a,b", "=a", "vibe=", ","):
        with pytest.raises(UsageError):
            candidates.parse(bad)


def test_a_detector_is_no_eye() -> None:
    with pytest.raises(ModelError, match="open-detector finds no keypoints") as caught:
        candidates.load_encoders(["open-detector"], None, "cpu", "float32")
    assert "open-encoder" in caught.value.hint


def test_what_a_model_learned_from_is_read_from_its_card(tmp_path: Path) -> None:
    from vibe_cli.zoo.reader import Entry

    card = "# a\n- **Licence**: CC0\n- **Data**: drawn\n  [people](x.md).\n- **Budget**: 1\n"
    (tmp_path / "CARD.md").write_text(card)
    assert candidates.training_data(Entry(tmp_path, {})) == "drawn people."
    assert "VIBE" in candidates.training_data(Entry(tmp_path, {"source": {"from": "VIBE's data"}}))
