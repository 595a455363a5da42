"""The zoo: what ships loads strictly, what does not fit is refused with a hint."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from tests.helpers.tiny import TEMPORAL, BrightDetector, install_model, make_walk
from vibe_cli.body.body_models import mean_shape_note
from vibe_cli.errors import ModelError
from vibe_cli.importing.library import list_imported
from vibe_cli.importing.systems import SYSTEMS
from vibe_cli.paths import models_dir
from vibe_cli.results import Result
from vibe_cli.zoo import fetched, reader

SHIPPED = [
    "open-body",
    "open-detector",
    "open-encoder",
    "open-pose-prior",
    *(system.shipped for system in SYSTEMS.values()),
]


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIBE_HOME", str(tmp_path / "home"))
    install_model(tmp_path / "home" / "models")
    return tmp_path / "home" / "models"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_says_what_it_is_and_is_whole(name: str) -> None:
    folder = models_dir() / name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["licence"] == "CC0-1.0"
    assert config["sha256"] == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert len((folder / "CARD.md").read_text()) > 500


def test_the_shipped_weights_stay_under_100_megabytes() -> None:
    assert sum(p.stat().st_size for p in models_dir().glob("*/weights.safetensors")) < 100e6


def test_the_default_model_encodes_a_crop_and_moves() -> None:
    model = reader.load_model(device="cpu")
    assert (model.name, model.detector_name, model.body.kind) == ("open-vibe", "open-detector", "open")
    with torch.inference_mode():
        seen = model.encoder(torch.zeros(2, 3, model.crop_size, model.crop_size))
        output = model.network(seen.features[None])
    assert seen.keypoints.shape == (2, 49, 3)
    assert output.rotations.shape == (1, 2, 24, 3, 3)


def test_a_model_of_the_user_is_found_by_name_and_by_folder(own_models: Path) -> None:
    assert reader.find_model("tiny").folder == own_models / "tiny"
    assert reader.find_model(own_models / "tiny").name == "tiny"
    assert {"tiny", "open-vibe"} <= {entry.name for entry in reader.list_models()}


def test_a_name_is_the_zoos_before_a_folder_of_it_and_a_path_is_a_folder(tmp_path: Path, monkeypatch) -> None:
    install_model(tmp_path / "runs")
    for name in ("open-vibe", "vibe", "mine"):
        shutil.copytree(tmp_path / "runs" / "tiny", tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path / "runs")
    for name in (None, "open-vibe", "vibe"):
        assert reader.choose_model(name or reader.DEFAULT_MODEL)[0].folder == models_dir() / "open-vibe"
    for path in ("./open-vibe", "open-vibe/", tmp_path / "runs" / "open-vibe", Path("open-vibe"), "./vibe", "mine"):
        assert reader.choose_model(path)[0].folder.resolve().parent == tmp_path / "runs", path


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no model named nothing") as caught:
        reader.load_model("nothing")
    assert "open-vibe" in caught.value.hint


def test_weights_that_do_not_fit_their_configuration_are_refused_by_name(own_models: Path) -> None:
    path = own_models / "tiny" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["network"]["hidden"] = 12
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ModelError, match="misshaped.*encoder.gru.weight_hh_l0"):
        reader.load_model("tiny")


def test_an_encoder_of_another_width_is_refused_by_both_numbers_and_names(own_models: Path) -> None:
    path = own_models / "tiny" / "config.yaml"
    path.write_text(path.read_text().replace("tiny-encoder", "open-encoder"))
    with pytest.raises(ModelError, match="tiny reads 16 features a frame, and its encoder open-encoder gives 512") as e:
        reader.load_model("tiny")
    assert str(path) in e.value.hint


def test_every_network_states_how_many_features_it_reads() -> None:
    from tests.helpers.tiny import ENCODER
    from vibe_cli.networks import build_network

    for config in (ENCODER, *TEMPORAL.values()):
        assert build_network(config).features == 16
    with torch.device("meta"):
        assert {build_network({"network": name}).features for name in ("backbone", *TEMPORAL)} == {2048}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"encoder": "open-body"}, "names open-body as its encoder, which is of the kind: body"),
        ({"network": {"network": "discriminator", "features": 16, "hidden": 4}}, "its network is MotionDiscriminator"),
    ],
)
def test_parts_of_another_kind_are_refused(changes: dict, words: str, own_models: Path) -> None:
    from safetensors.torch import save_file

    from vibe_cli.networks import build_network

    folder = own_models / "tiny"
    config = yaml.safe_load((folder / "config.yaml").read_text()) | changes
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    save_file(build_network(config["network"]).state_dict(), folder / "weights.safetensors")
    with pytest.raises(ModelError, match=words) as caught:
        reader.load_model("tiny")
    assert caught.value.hint


def test_a_temporal_model_is_no_detector() -> None:
    with pytest.raises(ModelError, match="no detector"):
        reader.load_model("tiny", detector="open-vibe")


def test_a_yolo_file_of_the_user_is_the_default_only_where_ultralytics_is(own_models: Path, monkeypatch) -> None:
    (own_models / "yolo11n.pt").write_bytes(b"")
    monkeypatch.setattr("vibe_cli.people.detectors.YoloDetector", lambda path, device: path)
    for spec, name in ((object(), "yolo11n.pt"), (None, "open-detector")):
        monkeypatch.setattr(fetched, "find_spec", lambda _, spec=spec: spec)
        assert Path(fetched.default_detector()).name == name
        assert reader.load_detector(None, torch.device("cpu"))[1] == name


def imported(folder: Path, kind: str, *needs: str) -> None:
    """What `vibe models import` leaves of a file of that kind, without its weights."""
    folder.mkdir(parents=True)
    lacks = [{"kind": need, "what": f"the {need} file", "from": f"{need}.org"} for need in needs]
    content = {"kind": kind, "what": kind, "source": {"sha256": folder.name}, "needs": lacks, "files": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))


def test_a_published_name_is_the_open_model_while_no_checkpoint_is_there() -> None:
    entry, note = reader.choose_model("vibe")
    assert entry.name == "open-vibe" and "vibe is open-vibe here" in note and "vibe models import" in note


def test_a_published_name_is_the_users_checkpoint_once_it_is_complete(own_models: Path) -> None:
    imported(own_models / "vibe", "vibe", "spin")
    entry, note = reader.choose_model("vibe")
    assert entry.name == "open-vibe" and "the imported vibe still needs the spin file (get that from spin.org" in note
    imported(own_models / "spin", "spin")
    assert reader.choose_model("vibe") == (reader.read_entry(own_models / "vibe"), None)


def test_of_several_checkpoints_of_a_kind_a_complete_one_is_taken(own_models: Path) -> None:
    imported(own_models / "tcmr", "tcmr", "spin", "smpl")
    imported(own_models / "tcmr-b", "tcmr", "spin")
    imported(own_models / "spin", "spin")
    assert reader.find_model("tcmr").name == "tcmr-b"


def test_a_published_name_takes_an_open_model_of_that_network_as_soon_as_there_is_one(own_models: Path) -> None:
    (own_models / "tiny").rename(own_models / "open-sps-net")
    assert reader.choose_model("sps-net")[0].folder == own_models / "open-sps-net"


@pytest.mark.parametrize("name", ["tcmr", "dts-vibe", "sps-net"])
def test_a_published_name_starts_to_work_when_its_open_model_is_shipped(
    name: str, tmp_path: Path, vibe, monkeypatch
) -> None:
    torch.set_num_threads(1)
    empty, shipped = tmp_path / "no-models", tmp_path / "models"
    monkeypatch.setenv("VIBE_HOME", str(empty))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vibe_cli.zoo.reader.load_detector", lambda *_: (BrightDetector(), "bright"))
    clip = make_walk(tmp_path / "walk.mp4", frames=4)
    monkeypatch.setattr(reader, "models_dir", lambda: tmp_path / "nothing")
    answer = vibe("demo", clip, "--model", name, "--device", "cpu")
    assert answer.code == 4 and len(answer.lines) == 2 and "vibe train" in answer.lines[1], answer.err
    install_model(shipped, TEMPORAL[name.replace("-", "_")])
    (shipped / "tiny").rename(shipped / SYSTEMS[name].shipped)
    monkeypatch.setattr(reader, "models_dir", lambda: shipped)
    answer = vibe("demo", clip, "--model", name, "--device", "cpu", "--min-track", "1")
    assert answer.code == 0, answer.err
    assert Result.load(tmp_path / "output" / "walk" / "result.npz").model == SYSTEMS[name].shipped


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_published_name_that_nothing_stands_for_says_what_to_get(name: str, monkeypatch) -> None:
    monkeypatch.setattr(reader, "models_dir", lambda: Path("/nowhere"))
    with pytest.raises(ModelError, match=re.escape(SYSTEMS[name].title)) as caught:
        reader.find_model(name)
    wanted = "vibe models import" if SYSTEMS[name].official else "--model FOLDER"
    assert wanted in caught.value.hint and (SYSTEMS[name].where or "") in caught.value.hint


def test_what_was_chosen_for_a_published_name_is_noted_in_the_model() -> None:
    model = reader.load_model("vibe", device="cpu")
    assert model.name == "open-vibe" and "vibe is open-vibe here" in model.notes[0]
    assert reader.load_model(device="cpu").notes == ()


def test_an_encoder_that_serves_the_detector_too_is_loaded_once() -> None:
    model = reader.load_model(device="cpu")
    assert model.detector.encoder is model.encoder


def test_models_that_were_made_together_stay_together_in_another_folder(tmp_path: Path) -> None:
    for name in ("open-vibe", "open-detector", "open-encoder"):
        shutil.copytree(models_dir() / name, tmp_path / "mine" / name)
    model = reader.load_model(tmp_path / "mine" / "open-vibe", tmp_path / "mine" / "open-detector", device="cpu")
    assert model.detector.encoder is model.encoder
    shutil.rmtree(tmp_path / "mine" / "open-encoder")
    for needy in ({"name": tmp_path / "mine" / "open-vibe"}, {"detector": tmp_path / "mine" / "open-detector"}):
        with pytest.raises(ModelError, match=re.escape(f"no model named {tmp_path / 'mine' / 'open-encoder'}")):
            reader.load_model(**needy, device="cpu")


@pytest.mark.parametrize("name", ["open-encoder", "open-body", "open-detector", "spin"])
def test_what_is_no_temporal_model_is_refused(name: str, own_models: Path) -> None:
    imported(own_models / "spin", "spin")
    with pytest.raises(ModelError, match=f"{name} is no temporal model"):
        reader.load_model(name)


def test_weights_that_changed_are_found_by_their_checksum(own_models: Path) -> None:
    path = own_models / "tiny" / "config.yaml"
    path.write_text(path.read_text() + f"sha256: {'a' * 64}\n")
    with pytest.raises(ModelError, match="weights.safetensors: damaged"):
        reader.load_model("tiny")


def test_an_official_model_without_a_body_asks_for_smpl(own_models: Path) -> None:
    path = own_models / "tiny" / "config.yaml"
    path.write_text(path.read_text() + "camera_origin: body\ncrop_scale: 1.1\n")
    with pytest.raises(ModelError, match="tiny needs an SMPL body"):
        reader.load_model("tiny")


@pytest.fixture
def smpl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's SMPL file; detectors are not loaded."""
    monkeypatch.setattr(reader, "load_detector", lambda *_: (BrightDetector(), "bright"))
    write_official_pickle(tmp_path / "SMPL.pkl", smpl_arrays())
    np.save(tmp_path / "J_regressor_extra.npy", extra_regressor())
    return tmp_path / "SMPL.pkl"


def configure(model: Path, **more: str) -> None:
    """Add to what a model's config.yaml says."""
    path = model / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | more))


def test_an_open_networks_shapes_are_not_those_of_an_smpl_file(smpl: Path) -> None:
    model = reader.load_model("tiny", body=smpl, device="cpu")
    assert model.body.kind == "smpl" and not model.shape_known and model.notes == (mean_shape_note("open", "smpl"),)
    for body in (None, "open-body"):
        model = reader.load_model("tiny", body=body, device="cpu")
        assert model.body.kind == "open" and model.shape_known and model.notes == ()


def test_the_shapes_of_a_network_trained_on_smpl_are_not_those_of_the_open_body(own_models: Path, smpl: Path) -> None:
    configure(own_models / "tiny", body=str(smpl))
    for body in (None, smpl):
        model = reader.load_model("tiny", body=body, device="cpu")
        assert model.body.kind == "smpl" and model.shape_known and model.notes == ()
    model = reader.load_model("tiny", body="open-body", device="cpu")
    assert model.body.kind == "open" and not model.shape_known and model.notes == (mean_shape_note("smpl", "open"),)


def test_a_published_network_cannot_place_the_open_body(own_models: Path, smpl: Path) -> None:
    configure(own_models / "tiny", camera_origin="body")
    assert reader.load_model("tiny", body=smpl, device="cpu").shape_known
    with pytest.raises(ModelError, match="tiny places SMPL's origin") as caught:
        reader.load_model("tiny", body="open-body", device="cpu")
    assert "--body" in caught.value.hint


def test_models_of_the_zoos_own_form_beside_imported_ones_are_passed_over(own_models: Path) -> None:
    imported(own_models / "smpl", "smpl")
    assert [entry.name for entry in list_imported()] == ["smpl"]
