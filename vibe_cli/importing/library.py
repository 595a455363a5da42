"""The user's model folder: official files converted to safetensors, each with a sidecar that says what it is.

<folder>/<name>/config.yaml, weights.safetensors and, where the file holds them, body.safetensors (SMPL),
regressor.safetensors (SPIN's) and discriminator.safetensors. The folder is `paths.user_models_dir()`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vibe_cli.errors import ModelError, UsageError
from vibe_cli.importing.systems import SYSTEMS
from vibe_cli.paths import models_dir, user_models_dir

if TYPE_CHECKING:
    from torch import Tensor

    from vibe_cli.importing.checkpoints import OfficialFile

SIDECAR = "config.yaml"
PART = ".part"  # ending of a folder that is being written
# What each kind of official file (checkpoints.KINDS) does in the zoo.
TASKS = {
    "spin": "encoder",
    "vibe": "temporal",
    "tcmr": "temporal",
    "smpl": "body",
    "mean-params": "arrays",
    "joints-extra": "arrays",
    "joints-h36m": "arrays",
}
# Which crop each published network was trained on: the box side is enlarged by this.
_CROP_SCALES = {"spin": 1.2, "vibe": 1.1, "tcmr": 1.2}


@dataclass(frozen=True)
class Imported:
    """One entry of the user's model folder."""

    folder: Path
    config: dict  # the sidecar

    @property
    def name(self) -> str:
        """Its name in the zoo: the folder's."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """A key of checkpoints.KINDS."""
        return self.config["kind"]


def import_file(path: Path | str, root: Path | None = None, name: str | None = None) -> Imported:
    """Recognise an official file, convert it into the user's model folder, and say what came of it.

    A file that is already there is left as it is, whatever `name` says. Without a name the kind is taken, and
    for a second file of a kind its checksum's first digits are added. ModelError where the file is not
    official, does not fit or is unsafe; UsageError where the name cannot be had.
    """
    from vibe_cli.importing.checkpoints import read_official

    root = root or user_models_dir()
    official = read_official(path)
    checksum = sha256(path)
    for entry in list_imported(root):
        if entry.config["source"]["sha256"] == checksum:
            return entry
    if name is None:
        name = official.kind if not (root / official.kind).exists() else f"{official.kind}-{checksum[:8]}"
    else:
        _check_name(name, official.kind, root)
    _write(official, checksum, root / name)
    return Imported(root / name, _read_sidecar(root / name / SIDECAR))


def list_imported(root: Path | None = None) -> list[Imported]:
    """Everything that was imported, by name; ModelError where a sidecar is damaged.

    Models of the zoo's own form that lie in the folder too are passed over.
    """
    root = root or user_models_dir()
    paths = [path for path in sorted(root.glob(f"*/{SIDECAR}")) if not path.parent.name.endswith(PART)]
    entries = [Imported(path.parent, _read_sidecar(path)) for path in paths]
    return [entry for entry in entries if "kind" in entry.config]


def still_needed(entry: Imported, root: Path | None = None) -> list[dict[str, str]]:
    """Parts that an entry lacks: `kind` (a key of checkpoints.KINDS), `what` it is, `from` where."""
    there = {other.kind for other in list_imported(root)}
    if find_extra_regressor(root) is not None:
        there.add("joints-extra")
    if find_body(root) is not None:
        there.add("smpl")
    return [need for need in entry.config["needs"] if need["kind"] not in there]


def missing(entry: Imported, root: Path | None = None) -> list[str]:
    """Kinds that an entry still needs and that are not in the folder; keys of checkpoints.KINDS."""
    return [need["kind"] for need in still_needed(entry, root)]


def find_body(root: Path | None = None, prefer: Path | None = None) -> Path | None:
    """The SMPL body to use: an imported SMPL file, else the body inside an imported checkpoint, else an SMPL file
    of men or women, which the neutral shapes of the networks do not fit; else None.

    Of several checkpoints that hold one, the entry in the folder `prefer` goes first.
    """

    def rank(entry: Imported) -> tuple[int, bool]:
        gendered = any(says_gender(entry, gender) for gender in ("male", "female"))
        return 1 if entry.kind != "smpl" else 2 * gendered, entry.folder != prefer

    entries = [entry for entry in list_imported(root) if (entry.folder / "body.safetensors").is_file()]
    return min(entries, key=rank).folder / "body.safetensors" if entries else None


def says_gender(entry: Imported, gender: str) -> bool:
    """Whether an entry's name or its file's says that it is male, female or neutral."""
    return any(names_gender(text, gender) for text in (entry.name, str(entry.config["source"]["file"])))


def names_gender(text: str, gender: str) -> bool:
    """Whether a name such as SMPL_FEMALE.pkl or basicModel_f_lbs says that gender."""
    words = {"male": "male|m", "female": "female|f", "neutral": "neutral|n"}[gender]
    return re.search(rf"(?:^|[^a-z])(?:{words})(?:[^a-z]|$)", text, re.I) is not None


def gender_of(body: Path | None) -> str:
    """male, female or neutral: what the name of a body's file, or of its folder, says of whom it is of."""
    if body is None:
        return "neutral"
    entry = next((entry for entry in list_imported() if entry.folder == body.parent), None)
    for gender in ("male", "female"):
        if says_gender(entry, gender) if entry is not None else names_gender(body.name, gender):
            return gender
    return "neutral"


def find_extra_regressor(root: Path | None = None) -> Tensor | None:
    """J_regressor_extra (9, V): imported by itself, else out of an imported checkpoint, else None."""
    from vibe_cli.importing.safe_read import read_safetensors

    entries = list_imported(root)
    for entry in entries:
        if entry.kind == "joints-extra":
            return read_safetensors(entry.folder / "weights.safetensors")["regressor"]
    for entry in entries:
        path = entry.folder / "body.safetensors"
        if entry.config.get("body_has_extra_joints"):
            return read_safetensors(path)["J_regressor_extra"]
    return None


def sha256(path: Path | str) -> str:
    """Checksum of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_name(name: str, kind: str, root: Path) -> None:
    """UsageError unless a file of that kind may be imported under the name."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) or name.endswith((PART, ".")):
        raise UsageError(f"{name!r} cannot be a model's name", hint="use letters, digits, - and _")
    if (models_dir() / name).exists() or (name in SYSTEMS and name != kind):
        raise UsageError(f"{name} is the name of another model", hint="choose another --name")
    if (root / name).exists():
        raise UsageError(f"{root / name}: is there already, and came of another file", hint="choose another --name")


def _write(official: OfficialFile, checksum: str, folder: Path) -> None:
    """Write an entry beside its place and rename it: a crash leaves no half entry."""
    import yaml
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    part = folder.with_name(f"{folder.name}.{os.getpid()}{PART}")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        files = {}
        for name, tensors in official.parts.items():
            own = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
            file = part / f"{name}.safetensors"
            save_file(own, file)
            file.chmod(0o666 & ~_umask())  # the library leaves it readable by its owner alone
            files[file.name] = sha256(file)
        sidecar = yaml.safe_dump(_sidecar(official, checksum, files), sort_keys=False, allow_unicode=True)
        (part / SIDECAR).write_text(sidecar, encoding="utf-8")
        os.replace(part, folder)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ModelError(
            f"{folder}: cannot be written ({reason or error})",
            hint="free some space, or set VIBE_HOME to a folder that you may write to",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sidecar(official: OfficialFile, checksum: str, files: dict[str, str]) -> dict:
    """The content of config.yaml."""
    from vibe_cli.importing.checkpoints import KINDS

    kind = KINDS[official.kind]
    body, needs = official.parts.get("body"), list(kind.needs)
    if TASKS[official.kind] == "temporal":  # most checkpoints hold the body as well, and need no SMPL file then
        needs += ["smpl"] if body is None else []
        needs += ["joints-extra"] if "J_regressor_extra" not in (body or {}) else []
    content: dict[str, object] = {
        "kind": official.kind,
        "what": kind.what,
        "licence": kind.licence,
        "source": {"file": official.path.name, "sha256": checksum, "from": kind.where},
        "files": files,
        "needs": [{"kind": need, "what": KINDS[need].what, "from": KINDS[need].where} for need in needs],
    }
    if official.network:
        content |= {"network": official.network}
    if official.kind in _CROP_SCALES:
        # published cameras place the body by SMPL's origin, not by its pelvis
        content |= {"crop_scale": _CROP_SCALES[official.kind], "camera_origin": "body"}
    if body is not None:
        content["body_has_extra_joints"] = "J_regressor_extra" in body
    return content | ({"notes": official.notes} if official.notes else {})


def _read_sidecar(path: Path) -> dict:
    """config.yaml of an entry; ModelError where it is not one."""
    import yaml  # here, so that bodies load where it is not installed

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(
            f"{path}: damaged ({type(error).__name__})", hint=f"delete {path.parent} and import again"
        ) from None
    if not isinstance(content, dict) or ("kind" in content and not _is_whole(content)):
        raise ModelError(f"{path}: not the sidecar of an imported model", hint=f"delete {path.parent} and import again")
    return content


def _is_whole(sidecar: dict) -> bool:
    """Whether a sidecar says of an imported file what this module goes by."""
    source, needs = sidecar.get("source"), sidecar.get("needs")
    return (
        sidecar["kind"] in TASKS
        and isinstance(source, dict)
        and "sha256" in source
        and isinstance(needs, list)
        and all(isinstance(need, dict) and {"kind", "what", "from"} <= set(need) for need in needs)
    )


def _umask() -> int:
    """The permissions that this process does not give to new files."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
