"""Facts about official files: told apart by content, read strictly, kept as safetensors with a sidecar."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.helpers.bodies import extra_regressor, smpl_arrays
from tests.helpers.official_files import write_official_files, zeros_of
from vibe_cli import paths
from vibe_cli.body.body_models import load_body
from vibe_cli.errors import ModelError
from vibe_cli.importing.checkpoints import KINDS, read_official, recognise, smpl_tensors
from vibe_cli.importing.library import (
    find_body,
    find_extra_regressor,
    gender_of,
    import_file,
    list_imported,
    missing,
    sha256,
)
from vibe_cli.importing.safe_read import read_safetensors


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """One file of each kind."""
    return write_official_files(tmp_path_factory.mktemp("official"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_official_file_is_recognised_whatever_its_name(files, kind):
    assert recognise(files[kind]) == kind


def test_a_checkpoint_is_opened_into_network_body_and_notes(files):
    official = read_official(files["vibe"])
    assert official.network == {
        "network": "vibe",
        "features": 2048,
        "hidden": 1024,
        "layers": 2,
        "bidirectional": False,
        "residual": True,
        "window": 16,
        "regressor_hidden": 1024,
        "iterations": 3,
        "dropout": 0.5,
    }
    assert official.notes["epoch"] == 9 and official.notes["performance"] == pytest.approx(56.5)
    assert "discriminator" not in official.parts and "odd" in official.notes["discriminator"]
    expected = smpl_tensors(smpl_arrays() | {"J_regressor_extra": extra_regressor()}, "here")
    for name, value in expected.items():
        assert torch.equal(official.parts["body"][name], value), name


def test_everything_is_imported_once_and_says_what_it_is(files, tmp_path):
    for kind in KINDS:
        entry = import_file(files[kind], tmp_path)
        assert entry.kind == entry.name == kind
        assert entry.config["source"]["sha256"] == sha256(files[kind])
        assert entry.config["source"]["file"] == files[kind].name and entry.config["licence"]
        for name, checksum in entry.config["files"].items():
            assert sha256(entry.folder / name) == checksum
        assert import_file(files[kind], tmp_path) == entry
    assert [entry.kind for entry in list_imported(tmp_path)] == sorted(KINDS)
    assert not list(tmp_path.glob("*.part"))
    regressor = read_safetensors(tmp_path / "spin" / "regressor.safetensors")
    assert regressor.keys() == zeros_of("regressor").keys()


def test_what_is_still_missing_shrinks_as_files_come(files, tmp_path):
    vibe = import_file(files["vibe"], tmp_path)
    assert missing(vibe, tmp_path) == ["spin"]
    assert "github.com" in vibe.config["needs"][0]["from"]
    import_file(files["spin"], tmp_path)
    assert missing(vibe, tmp_path) == []
    smpl = import_file(files["smpl"], tmp_path)
    assert missing(smpl, tmp_path) == []  # the VIBE checkpoint holds the extra regressor
    shutil.rmtree(tmp_path / "vibe")
    assert missing(smpl, tmp_path) == ["joints-extra"]


def test_the_body_inside_a_checkpoint_serves_until_an_smpl_file_comes(files, tmp_path, monkeypatch):
    monkeypatch.setenv("VIBE_HOME", str(tmp_path))
    root = paths.user_models_dir()
    assert root == tmp_path / "models" and find_body() is None and find_extra_regressor() is None
    import_file(files["vibe"])
    assert find_body() == root / "vibe" / "body.safetensors"
    inside = load_body(find_body())
    assert inside.kind == "smpl"
    import_file(files["smpl"])
    assert find_body() == root / "smpl" / "body.safetensors"
    (root / "smpl").rename(root / "smpl-female")
    assert find_body() == root / "vibe" / "body.safetensors", "the networks' shapes are neutral"
    assert gender_of(root / "smpl-female" / "body.safetensors") == "female" and gender_of(None) == "neutral"
    assert gender_of(tmp_path / "SMPL_MALE.pkl") == "male" and gender_of(tmp_path / "smpl.pkl") == "neutral"
    (root / "smpl-female").rename(root / "smpl")
    alone = load_body(find_body())
    pose = torch.linalg.qr(torch.randn(1, 24, 3, 3, generator=torch.Generator().manual_seed(0)))[0]
    expected = inside(pose, torch.ones(1, 10)).joints
    for body in (alone, load_body(files["vibe"])):
        assert torch.allclose(body(pose, torch.ones(1, 10)).joints, expected, atol=1e-5)


def test_a_second_file_of_a_kind_stands_beside_the_first(files, tmp_path):
    import_file(files["joints-extra"], tmp_path)
    np.save(tmp_path / "other.npy", extra_regressor(seed=9))
    entry = import_file(tmp_path / "other.npy", tmp_path)
    assert entry.name == f"joints-extra-{sha256(tmp_path / 'other.npy')[:8]}"


def test_names_and_shapes_that_do_not_fit_are_listed(tmp_path):
    weights = {"encoder.gru.weight_ih_l0": torch.zeros(3, 4), "encoder.extra": torch.zeros(1)}
    torch.save({"gen_state_dict": weights}, tmp_path / "v.pth.tar")
    with pytest.raises(ModelError) as error:
        recognise(tmp_path / "v.pth.tar")
    for words in (
        "v.pth.tar",
        "missing: ",
        "unexpected: encoder.extra",
        "misshaped: encoder.gru.weight_ih_l0 (3, 4) instead of (3072, 2048)",
    ):
        assert words in error.value.message


@pytest.mark.parametrize(
    "change, words",
    [
        ({"weights": np.zeros((6890, 52))}, "a body of 52 joints"),
        ({"f": np.array([[0, 1, 6890]])}, "a triangle"),
        ({"kintree_table": np.zeros((2, 24))}, "skeleton is not SMPL's"),
        ({"J_regressor": None}, "J_regressor is missing"),
        ({"v_template": np.zeros((100, 3))}, r"v_template is \(100, 3\) instead of \(6890, 3\)"),
        ({"v_template": "text"}, "holds no numbers"),
    ],
)
def test_a_body_that_is_not_smpls_says_why(change, words):
    with pytest.raises(ModelError, match=words):
        smpl_tensors(smpl_arrays() | change, "x.pkl")


def test_the_first_ten_of_three_hundred_shape_components_are_taken():
    arrays = smpl_arrays()
    wide = np.concatenate([arrays["shapedirs"], np.ones((6890, 3, 5))], -1)
    assert torch.equal(
        smpl_tensors(arrays | {"shapedirs": wide}, "x")["shapedirs"], smpl_tensors(arrays, "x")["shapedirs"]
    )


@pytest.mark.parametrize("content", [b"plain text", b"", b"%PDF-1.7", b"ustar" * 100])
def test_what_is_no_official_file_is_said_with_what_would_be(tmp_path, content):
    (tmp_path / "file.pth.tar").write_bytes(content)
    with pytest.raises(ModelError, match="not an official file") as error:
        recognise(tmp_path / "file.pth.tar")
    assert "VIBE: temporal encoder" in error.value.hint


def test_a_checkpoint_of_something_else_is_not_taken_for_one_of_ours(tmp_path):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match="not an official file"):
        recognise(tmp_path / "x.pt")


def test_a_damaged_sidecar_is_named(files, tmp_path):
    entry = import_file(files["mean-params"], tmp_path)
    assert yaml.safe_load((entry.folder / "config.yaml").read_text())["kind"] == "mean-params"
    (entry.folder / "config.yaml").write_text("a: [")
    with pytest.raises(ModelError, match="config.yaml"):
        list_imported(tmp_path)


@pytest.mark.parametrize(
    "platform, variables, expected",
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, Path("/data/vibe/models")),
        ("linux", {}, Path("/home/a/.local/share/vibe/models")),
        ("darwin", {}, Path("/home/a/Library/Application Support/vibe/models")),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/vibe/models")),
        ("linux", {"VIBE_HOME": "/vibe", "XDG_DATA_HOME": "/data"}, Path("/vibe/models")),
    ],
)
def test_the_users_models_lie_where_the_system_keeps_user_data(monkeypatch, platform, variables, expected):
    for name in ("VIBE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(paths.sys, "platform", platform)
    monkeypatch.setattr(paths.Path, "home", lambda: Path("/home/a"))
    assert paths.user_models_dir() == expected
