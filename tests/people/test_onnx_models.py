"""Foreign networks in ONNX files: what they are is told by their outputs, and their answers come back in pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.helpers.onnx_models import save, write_constant, write_seen, yolox_rows
from tests.helpers.tiny import install_model, make_walk
from vibe_cli.errors import ModelError
from vibe_cli.geometry.boxes import to_corners
from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.importing.onnx_files import read_onnx
from vibe_cli.people.keypoint_sources import open_keypoints
from vibe_cli.people.onnx_detectors import OnnxDetector
from vibe_cli.people.onnx_keypoints import OnnxKeypoints, crop, decode_heatmaps, widen
from vibe_cli.people.onnx_session import OnnxNetwork, fit_frame
from vibe_cli.results import Result, Track

SIZE = (64, 96)
PEOPLE = [(8, 3, 2, 16, 32, 0.9, 0), (16, 4, 2, 20, 40, 0.8, 1), (32, 2, 1, 24, 30, 0.7, 0), (8, 3, 3, 16, 32, 0.5, 0)]


@pytest.mark.parametrize("decoded", [False, True])
def test_yolox_candidates_of_all_strides_are_people_in_the_frames_pixels(tmp_path: Path, decoded: bool) -> None:
    """A frame of 192 × 128 is seen at half its size; another class is nobody, and a double is dropped."""
    people = [*PEOPLE[:3], (8, 3, 2, 16, 32, 0.9, 0)]
    detector = OnnxDetector(write_constant(tmp_path / "any.onnx", {"x": yolox_rows(SIZE, people, decoded)}, SIZE))
    found = detector.detect([np.zeros((128, 192, 3), np.uint8)] * 2)[1]
    assert found.scores == pytest.approx([0.9, 0.7])
    middle = [((3.25) * 8 * 2, (2.25) * 8 * 2), (2.25 * 32 * 2, 1.25 * 32 * 2)]
    assert found.boxes[0] == pytest.approx([*middle[0], 32, 64], abs=1e-3)
    corners = [middle[1][0] - 24, middle[1][1] - 30, middle[1][0] + 24, middle[1][1] + 30]
    assert to_corners(found.boxes)[1] == pytest.approx([*corners[:3], min(corners[3], 128)], abs=1e-3)
    assert detector.min_mean_score == 0.4 and detector.name == "any"


def test_of_two_candidates_on_one_person_the_better_is_kept(tmp_path: Path) -> None:
    people = [(8, 3, 2, 16, 60, 0.9, 0), (8, 3, 3, 16, 60, 0.5, 0)]
    path = write_constant(tmp_path / "d.onnx", {"x": yolox_rows(SIZE, people)}, SIZE)
    assert OnnxDetector(path).detect([np.zeros((64, 96, 3), np.uint8)])[0].scores == pytest.approx([0.9])


def test_finished_finds_with_and_without_classes_are_taken_as_they_are(tmp_path: Path) -> None:
    finds = np.array([[[10, 8, 30, 48, 0.9], [50, 8, 70, 48, 0.8], [40, 40, 60, 60, 0.01]]], np.float32)
    frame = np.zeros((128, 192, 3), np.uint8)
    alone = OnnxDetector(write_constant(tmp_path / "a.onnx", {"dets": finds}, SIZE)).detect([frame])[0]
    assert to_corners(alone.boxes) == pytest.approx(np.array([[20, 16, 60, 96], [100, 16, 140, 96]]))
    named = {"dets": finds, "labels": np.array([[1, 0, 0]])}
    found = OnnxDetector(write_constant(tmp_path / "b.onnx", named, SIZE)).detect([frame])[0]
    assert found.scores == pytest.approx([0.8])


def test_yolox_sees_bgr_of_0_to_255_at_the_upper_left_of_grey() -> None:
    frame = np.zeros((30, 60, 3), np.uint8)
    frame[..., 0] = 200
    image, scale = fit_frame(frame, (64, 64))
    assert scale == pytest.approx(64 / 60) and image.shape == (3, 64, 64)
    assert image[:, 10, 10].tolist() == [0, 0, 200] and (image[:, 33:] == 114).all()


def test_a_file_of_a_fixed_batch_takes_any_number_of_frames(tmp_path: Path) -> None:
    path = write_constant(tmp_path / "d.onnx", {"x": yolox_rows(SIZE, PEOPLE)}, SIZE)
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, str(path))
    detector = OnnxDetector(path)
    frames = [np.zeros((64, 96, 3), np.uint8)] * 5
    assert [len(one) for one in detector.detect(frames)] == [3] * 5 and detector.detect([]) == []


def test_files_that_are_no_detector_say_what_they_put_out(tmp_path: Path) -> None:
    path = write_constant(tmp_path / "other.onnx", {"x": np.zeros((1, 7, 9))}, SIZE)
    with pytest.raises(ModelError, match=r"other.onnx: no detector that vibe knows.*\(1, 7, 9\)") as caught:
        OnnxDetector(path)
    assert "yolox" in caught.value.hint
    with pytest.raises(ModelError, match="no keypoint network"):
        OnnxKeypoints(path)


def track(boxes: list[list[float]], number: int = 1) -> Track:
    count = len(boxes)
    return Track(number, np.arange(count), np.array(boxes, float), np.ones(count), np.zeros(count))


def row_of(joint: int) -> int:
    return JOINTS_49.index(joint)


@pytest.mark.parametrize("count", [17, 26, 133])
def test_simcc_heads_give_keypoints_of_each_layout_in_the_frames_pixels(tmp_path: Path, count: int) -> None:
    """The crop of a box of 60 × 80 is 75 × 100 of the frame, seen as 48 × 64, with two classes a pixel."""
    along_x, along_y = np.zeros((1, count, 96)), np.zeros((1, count, 128))
    along_x[0, :, 48], along_y[0, :, 64] = 0.9, 0.8
    along_x[0, 9] = np.eye(96)[24] * 0.7  # the left wrist: a quarter from the left
    if count != 17:
        along_y[0, 17] = np.eye(128)[32] * 0.6  # head top of Halpe's, left big toe of the whole body's
    path = write_constant(tmp_path / "k.onnx", {"simcc_x": along_x, "simcc_y": along_y}, (64, 48))
    source = open_keypoints(str(path))
    frames = [(n, np.zeros((240, 320, 3), np.uint8)) for n in range(3)]
    assert [n for n, _ in source.watch(frames, [track([[100, 120, 60, 80]] * 2), track([[200, 90, 60, 80]], 2)])] == [
        0,
        1,
        2,
    ]
    people = source.people(3)
    assert sorted(people) == [0, 1] and people[0].shape == (2, 49, 3) and people[1].shape == (1, 49, 3)
    assert people[0][:, 0] == pytest.approx(np.array([[100, 120, 0.8], [200, 90, 0.8]]), abs=1e-3)
    assert people[1][0, row_of(20)] == pytest.approx([100 - 75 / 4, 120, 0.7], abs=1e-3)
    head, toe = people[0][0, row_of(48)], people[0][0, row_of(29)]
    assert (head[2] > 0) == (count == 26) and (toe[2] > 0) == (count != 17)
    assert count == 17 or {26: head, 133: toe}[count] == pytest.approx([100, 120 - 25, 0.6], abs=1e-3)


def test_heat_maps_are_read_between_their_pixels(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:64, :48]
    centres = [(10.3, 20.8), (24.0, 31.5), (37.6, 50.2)]
    bump = [0.9 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2)) for x, y in centres]
    maps = np.stack([bump[n % 3] for n in range(17)])[None]
    expected = np.array([[x / 47, y / 63] for x, y in centres])
    found = decode_heatmaps(maps)[0, :3]
    assert np.abs((found[:, :2] - expected) * [47, 63]).max() < 0.03
    assert found[:, 2] == pytest.approx(0.9, abs=0.05)
    source = OnnxKeypoints(write_constant(tmp_path / "v.onnx", {"maps": maps}, (256, 192)))
    frame = np.zeros((240, 320, 3), np.uint8)
    (person,) = source.people_in(frame, np.array([[100.0, 120, 60, 80]]))
    assert person[0, :2] == pytest.approx((expected[0] - 0.5) * [75, 100] + [100, 120], abs=0.1)


def test_a_keypoint_lies_where_the_network_saw_it(tmp_path: Path) -> None:
    """A network whose heat map is the crop's red finds a red dot of the frame where it is, whatever the box."""
    source = OnnxKeypoints(write_seen(tmp_path / "seen.onnx", (256, 192)))
    rows, columns = np.mgrid[:240, :320]
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[..., 0] = 255 * np.exp(-((columns - 118.4) ** 2 + (rows - 90.7) ** 2) / 8)
    for box in ([110.0, 100, 60, 80], [120.0, 100, 90, 40], [100.0, 110, 30, 120]):
        (person,) = source.people_in(frame, np.array([box]))
        assert person[0, :2] == pytest.approx([118.4, 90.7], abs=0.25)


def test_crops_keep_their_shape_and_are_normalised_rgb() -> None:
    region = widen(np.array([100.0, 120, 30, 80]), (256, 192))
    assert region == pytest.approx([100, 120, 75, 100])
    assert widen(np.array([0.0, 0, 90, 40]), (256, 192)) == pytest.approx([0, 0, 112.5, 150])
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[..., 0] = 255
    seen = crop(frame, region, (256, 192), udp=False)
    assert seen.shape == (3, 256, 192) and seen[:, 100, 100] == pytest.approx(
        [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], abs=1e-5
    )


def test_rtmo_finds_people_by_itself(tmp_path: Path) -> None:
    finds = np.array([[[10, 8, 30, 48, 0.9], [11, 8, 31, 48, 0.5], [50, 8, 70, 48, 0.8], [0, 0, 9, 9, 0.1]]])
    points = np.zeros((1, 4, 17, 3))
    points[..., :2], points[..., 2] = finds[:, :, None, :2] + 5, 0.7
    source = OnnxKeypoints(write_constant(tmp_path / "o.onnx", {"dets": finds, "keypoints": points}, SIZE))
    frame = np.zeros((128, 192, 3), np.uint8)
    list(source.watch([(4, frame)]))
    people = source.people(5)[4]
    assert people[:, 0] == pytest.approx(np.array([[30, 26, 0.7], [110, 26, 0.7]]), abs=1e-3)


def test_weights_outside_the_file_are_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(np.zeros(3, np.float32).tobytes())
    path = write_constant(tmp_path / "d.onnx", {"x": yolox_rows(SIZE, PEOPLE)}, SIZE)
    for where, at_top in (("secret.bin", True), ("../secret.bin", True), ("/etc/passwd", False)):
        model = onnx.load(str(path))
        tensor = TensorProto(name="more", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=where)
        if at_top:
            model.graph.initializer.append(tensor)
        else:
            model.graph.node.append(helper.make_node("Constant", [], ["more"], value=tensor))
        (tmp_path / "bad.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="bad.onnx: refused, its weights lie in another file") as caught:
            OnnxDetector(tmp_path / "bad.onnx")
        assert caught.value.hint


def test_operators_from_elsewhere_are_refused(tmp_path: Path) -> None:
    told = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 64, 96])]
    inner = helper.make_graph([helper.make_node("Evil", ["images"], ["y"], domain="their.own")], "g", [], told)
    for nodes in (
        [helper.make_node("Evil", ["images"], ["x"], domain="their.own")],
        [helper.make_node("If", ["c"], ["x"], then_branch=inner, else_branch=inner)],
        [helper.make_node("PyOp", ["images"], ["x"], domain="com.microsoft")],
    ):
        path = save(
            tmp_path / "op.onnx", nodes, [numpy_helper.from_array(np.array(True), "c")], told, ["batch", 3, 64, 96]
        )
        with pytest.raises(
            ModelError, match="op.onnx: refused, it asks for (operators of their.own|the operator PyOp)"
        ):
            read_onnx(path)


@pytest.mark.parametrize("content", [b"", b"hello there", b"\x3a\xff\x01abc", b"\x00" * 50, b"\xff" * 50])
def test_what_is_no_onnx_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="bad.onnx: not an ONNX file") as caught:
        read_onnx(tmp_path / "bad.onnx")
    assert "\n" not in caught.value.message and caught.value.hint
    with pytest.raises(ModelError, match="no such file"):
        read_onnx(tmp_path / "none.onnx")


def test_a_network_of_other_inputs_is_refused(tmp_path: Path) -> None:
    told = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 5])]
    path = save(tmp_path / "n.onnx", [helper.make_node("Identity", ["images"], ["x"])], [], told, ["batch", 5])
    with pytest.raises(ModelError, match="n.onnx: cannot be run.*not pictures"):
        OnnxNetwork(path)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("vibe_cli.people.onnx_session.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="need onnxruntime") as caught:
        OnnxDetector(tmp_path / "any.onnx")
    assert "pip install 'vibe-cli[onnx]'" in caught.value.hint and caught.value.exit_code == 4


def test_demo_takes_a_detector_and_keypoints_in_onnx_files(vibe, home: Path) -> None:
    """The detector says that somebody stands where the post of the clip begins, in every frame."""
    finds = np.array([[[0, 4, 60, 62, 0.9]]])
    along_x, along_y = np.zeros((1, 17, 96)), np.zeros((1, 17, 128))
    along_x[0, :, 48], along_y[0, :, 64] = 0.9, 0.9
    detector = write_constant(home / "d.onnx", {"dets": finds}, SIZE)
    keypoints = write_constant(home / "k.onnx", {"x": along_x, "y": along_y}, (64, 48))
    install_model(home / ".vibe" / "models")
    clip = make_walk(home / "walk.mp4", frames=6)
    chosen = ["--model", "tiny", "--device", "cpu", "--detector", detector, "--keypoints", keypoints]
    answer = vibe("demo", clip, *chosen)
    assert answer.code == 0, answer.err
    (person,) = Result.load(home / "output" / "walk" / "result.npz").people
    assert len(person.frames) == 6 and person.keypoints[:, 0] == pytest.approx(np.array([[30, 33, 0.9]] * 6), abs=0.1)
