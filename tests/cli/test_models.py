"""`vibe models`: official files come in, what is here is listed, and nothing bad gets through."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.helpers.bodies import extra_regressor
from tests.helpers.official_files import write_official_files, write_yolo, zeros_of
from tests.helpers.tiny import install_model
from vibe_cli.importing.library import sha256
from vibe_cli.paths import models_dir
from vibe_cli.zoo import listing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """One official file of each kind."""
    return write_official_files(tmp_path_factory.mktemp("official"))


@pytest.fixture
def own(home: Path) -> Path:
    """The user's model folder, which is not there yet."""
    return home / ".vibe" / "models"


def note(folder: Path, kind: str, needs: tuple[str, ...] = (), **more: object) -> None:
    """The sidecar of an imported file, without its weights."""
    folder.mkdir(parents=True)
    lacks = [{"kind": need, "what": f"the {need} file", "from": f"{need}'s page"} for need in needs]
    sidecar = {
        "kind": kind,
        "what": f"the {kind} file",
        "licence": "theirs, not ours",
        "files": {},
        "needs": lacks,
        "source": {"file": f"{kind}.pth.tar", "sha256": folder.name, "from": "its page"},
        **more,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(sidecar))


def test_every_kind_of_file_is_imported_in_one_command(vibe, own: Path, files) -> None:
    answer = vibe("models", "import", *files.values())
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in own.iterdir()) == sorted(files)
    for kind, path in files.items():
        assert f"imported now as {kind}" in answer.out and sha256(path) in answer.out
    assert "still needs" not in answer.out, "SPIN came with VIBE"
    assert "vibe demo CLIP --model vibe" in answer.out and "vibe demo CLIP --body smpl" in answer.out
    modes = {stat.S_IMODE(path.stat().st_mode) for path in own.rglob("*") if path.is_file()}
    assert len(modes) == 1, "weights can be read by whoever can read their sidecar"


def test_what_a_file_still_needs_is_said_with_where_that_comes_from(vibe, own: Path, files) -> None:
    answer = vibe("models", "import", files["tcmr"])
    assert answer.code == 0
    assert "TCMR: temporal encoder" in answer.out and "licence" in answer.out
    for what in ("SPIN: ResNet-50", "SMPL body: get it from smpl.is.tue.mpg.de", "regressor of 9 extra joints"):
        assert f"still needs {what}" in answer.out, "this checkpoint holds no body"
    vibe("models", "import", files["spin"], files["vibe"])
    assert "still needs" not in vibe("models", "import", files["tcmr"]).out, "VIBE's checkpoint holds the body"


def test_the_good_files_are_imported_and_the_bad_one_is_one_line_and_a_hint(vibe, own: Path, files) -> None:
    bad = own.parent / "holiday.pth.tar"
    bad.parent.mkdir()
    bad.write_text("no checkpoint\n")
    answer = vibe("models", "import", files["mean-params"], bad, files["joints-extra"], own.parent / "absent.npy")
    assert answer.code == 4 and len(answer.lines) == 4
    assert "holiday.pth.tar: not an official file" in answer.lines[0] and answer.lines[1].startswith("hint: known are")
    assert "absent.npy" in answer.lines[2] and answer.lines[3].startswith("hint: ")
    assert sorted(path.name for path in own.iterdir()) == ["joints-extra", "mean-params"]
    assert "imported now as mean-params" in answer.out and "imported now as joints-extra" in answer.out


def test_importing_twice_is_harmless_and_said(vibe, own: Path, files) -> None:
    assert "imported now" in vibe("models", "import", files["joints-h36m"]).out
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    answer = vibe("models", "import", files["joints-h36m"], files["joints-h36m"])
    assert answer.code == 0 and answer.out.count("imported before as joints-h36m") == 2
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before


def test_a_name_can_be_given(vibe, own: Path, files) -> None:
    assert vibe("models", "import", files["smpl"], "--name", "smpl-female").code == 0
    assert (own / "smpl-female" / "body.safetensors").is_file()
    assert vibe("models", "import", files["joints-extra"]).code == 0
    from vibe_cli.body.body_models import load_body

    assert load_body("smpl-female").kind == "smpl", "--body takes the name"


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "open-vibe", "tcmr", "taken", "x.part", ""])
def test_a_name_that_cannot_be_had_is_a_usage_error(name: str, vibe, own: Path, files) -> None:
    note(own / "taken", "smpl")
    answer = vibe("models", "import", files["mean-params"], "--name", name)
    assert answer.code == 2 and len(answer.lines) == 2
    assert [path.name for path in own.iterdir()] == ["taken"] and list(own.parent.iterdir()) == [own]


def test_one_name_for_two_files_is_a_usage_error(vibe, own: Path, files) -> None:
    assert vibe("models", "import", files["smpl"], files["mean-params"], "--name", "x").code == 2 and not own.exists()


def test_yolo_weights_are_told_where_they_are_looked_for(vibe, own: Path) -> None:
    write_yolo(own.parent.parent / "yolo11n.pt")
    answer = vibe("models", "import", "yolo11n.pt")
    assert answer.code == 4 and "yolo11n.pt: ultralytics (YOLO) weights" in answer.lines[0]
    assert "--detector yolo11n.pt" in answer.lines[1] and str(own) in answer.lines[1] and not own.exists()


def test_info_on_yolo_weights_says_what_they_find(vibe, home: Path, monkeypatch) -> None:
    write_yolo(home / "y.pt")
    found = torch.nn.Linear(3, 2), {0: "person", 1: "tie"}
    monkeypatch.setattr("vibe_cli.people.yolo_weights.read_yolo", lambda path: found)
    answer = vibe("info", "y.pt")
    assert answer.code == 0 and "person, tie" in answer.out and "--detector y.pt" in answer.out and "AGPL" in answer.out


@pytest.mark.parametrize("path", ["tiny", "."])
def test_a_folder_is_told_what_to_do_with_it(path: str, vibe, home: Path) -> None:
    install_model(home)
    answer = vibe("models", "import", path)
    assert answer.code == 4 and len(answer.lines) == 2
    assert ("--model tiny" if path == "tiny" else "name the files") in answer.lines[1]


def test_weights_that_do_not_fit_are_listed_by_name(vibe, own: Path) -> None:
    weights = zeros_of("vibe")
    weights["encoder.gru.bias_ih_l0"] = torch.zeros(7)
    weights["encoder.more"] = weights.pop("encoder.linear.bias")
    torch.save({"gen_state_dict": weights}, own.parent.parent / "v.pth.tar")
    answer = vibe("models", "import", "v.pth.tar")
    assert answer.code == 4 and not own.exists()
    for words in ("missing: encoder.linear.bias", "unexpected: encoder.more", "bias_ih_l0 (7,) instead of (3072,)"):
        assert words in answer.lines[0]


@pytest.mark.parametrize(("failure", "code"), [(OSError(28, "No space left on device"), 4), (KeyboardInterrupt(), 130)])
def test_a_write_that_breaks_off_leaves_nothing(
    failure: BaseException, code: int, vibe, own: Path, files, monkeypatch
) -> None:
    import safetensors.torch

    save = safetensors.torch.save_file

    def failing(tensors: dict, path: Path) -> None:
        if path.name == "regressor.safetensors":
            path.write_bytes(b"half")
            raise failure
        save(tensors, path)

    monkeypatch.setattr("safetensors.torch.save_file", failing)
    answer = vibe("models", "import", files["spin"])
    assert answer.code == code and list(own.iterdir()) == []


def test_the_list_shows_what_is_here_and_what_it_needs(vibe, own: Path) -> None:
    install_model(own)
    with (own / "tiny" / "config.yaml").open("a") as config:
        config.write("licence: MIT\nmeasured: {MPJPE mm: 98.7}\n")
    note(own / "vibe", "vibe", needs=("spin",))
    (own / "smpl.123.part").mkdir()
    (own / "smpl.123.part" / "config.yaml").write_text("kind: smpl")
    (own / "yolo11n.pt").write_bytes(b"x" * 2_000_000)
    answer = vibe("models", "list")
    assert answer.code == 0 and answer.err == ""
    rows = {line.split()[0]: line for line in answer.out.splitlines() if line}
    assert {"tiny", "tiny-encoder", "vibe", "yolo11n.pt", "open-body", "open-vibe", "open-detector"} <= set(rows)
    assert "MPJPE mm 98.7" in rows["tiny"] and "MIT" in rows["tiny"] and ".part" not in answer.out
    assert "vibe needs the spin file: get it from spin's page" in answer.out
    assert "(default)" in rows["yolo11n.pt"] and "2.0 MB" in rows["yolo11n.pt"] and "AGPL" in rows["yolo11n.pt"]
    assert "(default)" not in rows["open-detector"] and "(default)" in rows["open-vibe"]
    for name in ("vibe", "tcmr", "dts-vibe", "sps-net"):
        assert f"--model {name}" in answer.out


def test_the_list_calls_a_yolo_file_the_default_only_where_ultralytics_is(vibe, own: Path, monkeypatch) -> None:
    own.mkdir(parents=True)
    (own / "yolo11n.pt").write_bytes(b"")
    monkeypatch.setattr("vibe_cli.zoo.fetched.find_spec", lambda name: None)
    rows = {line.split()[0]: line for line in vibe("models", "list").out.splitlines() if line}
    assert "(default)" not in rows["yolo11n.pt"] and "(default)" in rows["open-detector"]


def test_the_list_for_scripts_is_json(vibe, own: Path) -> None:
    note(own / "tcmr", "tcmr", needs=("spin", "smpl"))
    told = json.loads(vibe("models", "list", "--json").out)
    models = {model["name"]: model for model in told["models"]}
    assert models["tcmr"]["present"] is False and [need["kind"] for need in models["tcmr"]["needs"]] == ["spin", "smpl"]
    assert models["open-vibe"]["present"] and models["open-vibe"]["task"] == "temporal"
    assert models["open-vibe"]["network"] == "vibe" and models["open-vibe"]["bytes"] > 1e6
    assert models["open-vibe"]["folder"] == str(models_dir() / "open-vibe")
    assert told["systems"]["vibe"]["model"] == "open-vibe"


@pytest.mark.parametrize("content", ["a: [", "kind: vibe", "- a list", "kind: vibe\nsource: 1\nneeds: 2\n"])
def test_a_damaged_entry_hides_no_other(content: str, vibe, own: Path) -> None:
    (own / "broken").mkdir(parents=True)
    (own / "broken" / "config.yaml").write_text(content)
    answer = vibe("models", "list")
    assert answer.code == 0 and "open-vibe" in answer.out and str(own / "broken") in answer.out
    assert vibe("models", "where", "open-vibe").code == 0


def test_where_names_the_folders_and_a_models_own(vibe, own: Path) -> None:
    answer = vibe("models", "where")
    assert answer.code == 0 and not own.exists()
    assert str(own) in answer.out and str(models_dir()) in answer.out and str(own.parent) in answer.out
    assert vibe("models", "where", "open-encoder").out.strip() == str(models_dir() / "open-encoder")
    answer = vibe("models", "where", "vibe")
    assert answer.out.strip() == str(models_dir() / "open-vibe") and "note: vibe is open-vibe here" in answer.err
    answer = vibe("models", "where", "nonsense")
    assert answer.code == 4 and "open-vibe" in answer.lines[1]


def test_an_incomplete_model_is_shown_all_the_same(vibe, own: Path) -> None:
    note(own / "vibe", "vibe", needs=("spin",))
    assert vibe("models", "where", "vibe").out.strip() == str(own / "vibe")
    answer = vibe("info", "vibe")
    assert answer.code == 0 and "the spin file, from spin's page" in answer.out


def test_models_alone_shows_its_help(vibe, home: Path) -> None:
    answer = vibe("models")
    assert answer.code == 0 and all(f"  {name} " in answer.out for name in ("import", "list", "where"))


def test_info_takes_a_models_name(vibe, own: Path) -> None:
    answer = vibe("info", "open-body")
    assert answer.code == 0 and "v_template" in answer.out and "CC0-1.0" in answer.out
    assert "note: vibe is open-vibe" in vibe("info", "vibe").out
    note(own / "smpl-female", "smpl", needs=("joints-extra",))
    answer = vibe("info", "smpl-female")
    assert answer.code == 0 and "theirs, not ours" in answer.out and "joints-extra's page" in answer.out
    assert vibe("info", "sps").code == 3


def test_info_on_every_kind_of_official_file_says_what_it_is(vibe, home: Path, files) -> None:
    from vibe_cli.importing.checkpoints import KINDS

    for kind, path in files.items():
        answer = vibe("info", path)
        assert answer.code == 0 and KINDS[kind].what in answer.out and sha256(path) in answer.out, answer.err
        assert KINDS[kind].licence in answer.out
    assert "performance" in vibe("info", files["vibe"]).out


def test_info_on_an_array_of_another_size_gives_its_shape(vibe, home: Path) -> None:
    np.save(home / "a.npy", extra_regressor()[:5])
    answer = vibe("info", "a.npy")
    assert answer.code == 0 and "(5, 6890)" in answer.out


def test_the_table_of_the_readme_is_what_the_list_says() -> None:
    text = (ROOT / "models" / "README.md").read_text("utf-8")
    table = listing.readme_table()
    assert table in text, f"put this table into models/README.md (vibe models list --markdown):\n{table}"
    names = {path.parent.name for path in models_dir().glob("*/weights.safetensors")}
    assert names == {line.split("]")[0][3:] for line in table.splitlines()[2:]}


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_a_folder_that_cannot_be_written_is_said(vibe, home: Path, files, monkeypatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("VIBE_HOME", str(home / "file"))
    answer = vibe("models", "import", files["mean-params"])
    assert answer.code == 4 and "cannot be written" in answer.lines[0] and "VIBE_HOME" in answer.lines[1]
