"""One file with everything that training draws from, for a machine that has torch, numpy, scipy and OpenCV alone.

A bundle is an .npz without pickles: the body as `SynthBody.arrays` has it in float32; motions as 16-bit axis-angle
of the joints that are measured, each frame the difference to the one before; pictures as JPEG, things as WebP.
Measured on 117 motions of CMU's, 18,580 frames: a joint's rotation is off by at most 0.005 degrees, a point of the
body by at most 0.2 mm; a picture by 1 to 3 grey levels on average. Motions beyond MOST_FRAMES are cut to pieces,
equally from all.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.errors import InputError
from vibe_cli.results import write_npz
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.mocap import AT_REST, Clip
from vibe_cli.synth.pictures import Pictures

FORMAT, VERSION = "vibe-bundle", 3  # 2: children; 3: panoramas and things
LIMIT = 40_000_000  # bytes of a bundle
MOST_FRAMES = 160_000  # 120 bytes each before compression
SHORTEST = 60  # frames that a piece keeps at least
MOST_BYTES = {"pictures": 8_000_000, "panoramas": 4_000_000, "things": 4_000_000}  # things need an alpha channel
QUALITY = 90  # JPEG's and WebP's
STEP = math.pi / 32767  # radians a unit
MEASURED = [joint for joint in range(24) if joint not in AT_REST]


@dataclass(frozen=True, eq=False)
class Bundle:
    """The content of a bundle."""

    body: SynthBody
    clips: list[Clip]
    pictures: Pictures


def write_bundle(path: Path, body: SynthBody, clips: list[Clip], pictures: Pictures) -> int:
    """Write a bundle beside and rename it; the bytes it has. InputError where it cannot be written."""
    kept = _thin(clips)
    names = [clip.name for clip in kept]
    files = {
        kind: _encode(kind, of_kind)
        for kind, of_kind in zip(MOST_BYTES, (pictures.photographs, pictures.panoramas, pictures.things), strict=True)
    }
    header = {
        "format": FORMAT,
        "version": VERSION,
        "motions": names,
        "lengths": [len(c.rotations) for c in kept],
        **{kind: [len(file) for file in of_kind] for kind, of_kind in files.items()},
    }
    arrays = {"header": np.array(json.dumps(header))}
    arrays |= {
        f"body/{name}": value.astype(np.int32 if name == "faces" else np.float32)
        for name, value in body.arrays().items()
    }
    arrays["motions"] = np.concatenate([_quantise(clip.rotations) for clip in kept])
    arrays |= {kind: np.frombuffer(b"".join(of_kind), np.uint8) for kind, of_kind in files.items() if of_kind}
    try:
        write_npz(path, arrays)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror})", hint="name a file in a folder that you may write to"
        ) from None
    return path.stat().st_size


def is_bundle(path: Path) -> bool:
    """Whether a file is a bundle, told by its content."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(str(file["header"][()])).get("format") == FORMAT
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        return False


def read_bundle(path: Path) -> Bundle:
    """The inverse of write_bundle; InputError where the file is no bundle, damaged, or of a later version."""
    hint = "write it again with: vibe synth pack"
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"][()]))
            if header["format"] != FORMAT:
                raise KeyError("format")
            if header["version"] > VERSION:
                raise InputError(
                    f"{path}: packed by a newer vibe (version {header['version']})",
                    hint="upgrade with: pip install -U vibe-cli",
                )
            arrays = {name: file[name] for name in file.files if name.startswith("body/")}
            body = SynthBody.from_arrays({name.removeprefix("body/"): value for name, value in arrays.items()})
            pieces = np.split(file["motions"], np.cumsum(header["lengths"])[:-1])
            pictures = Pictures(*(_decode(file, header, kind) for kind in MOST_BYTES))
        clips = [Clip(name, _dequantise(piece)) for name, piece in zip(header["motions"], pieces, strict=True)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", hint=hint) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, cv2.error) as error:
        raise InputError(f"{path}: not a bundle ({type(error).__name__}: {error})", hint=hint) from None
    return Bundle(body, clips, pictures)


def _quantise(rotations: np.ndarray) -> np.ndarray:
    """(T, 24, 3, 3) → (T, 20, 3) int16, every frame less the one before, modulo 2¹⁶."""
    flat = rotations[:, MEASURED].reshape(-1, 3, 3)
    vectors = Rotation.from_matrix(flat).as_rotvec().reshape(len(rotations), -1, 3)
    whole = np.clip(np.rint(vectors / STEP), -32767, 32767).astype(np.int16)
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1])).astype(np.int16)


def _dequantise(steps: np.ndarray) -> np.ndarray:
    """The inverse of _quantise, float32."""
    vectors = np.cumsum(steps, axis=0, dtype=np.int16) * STEP
    out = np.tile(np.eye(3, dtype=np.float32), (len(steps), 24, 1, 1))
    out[:, MEASURED] = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(len(steps), -1, 3, 3)
    return out


def _thin(clips: list[Clip]) -> list[Clip]:
    """At most about MOST_FRAMES: of every motion the same share, in one piece, from a place that varies."""
    share = MOST_FRAMES / max(sum(len(clip.rotations) for clip in clips), 1)
    if share >= 1:
        return clips
    rng, out = np.random.default_rng(0), []
    for clip in clips:
        count = len(clip.rotations)
        keep = min(count, max(SHORTEST, int(count * share)))
        start = int(rng.integers(count - keep + 1))
        out.append(Clip(clip.name, clip.rotations[start : start + keep]))
    if (total := sum(len(clip.rotations) for clip in out)) > 1.5 * MOST_FRAMES:  # very many short ones
        out = out[:: math.ceil(total / MOST_FRAMES)]
    return out


def _encode(kind: str, pictures: list[np.ndarray]) -> list[bytes]:
    """JPEG files, of things WebP, of as many pictures as MOST_BYTES hold, evenly chosen."""
    how = (
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        if kind == "things"
        else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    )
    files = [cv2.imencode(how[0], picture, how[1])[1].tobytes() for picture in pictures]
    return files[:: max(1, math.ceil(sum(map(len, files)) / MOST_BYTES[kind]))]


def _decode(file: Mapping[str, np.ndarray], header: dict, kind: str) -> list[np.ndarray]:
    """The inverse of _encode; ValueError where a picture does not decode."""
    lengths, channels = header.get(kind), 4 if kind == "things" else 3
    if not lengths:
        return []
    flag = cv2.IMREAD_UNCHANGED if kind == "things" else cv2.IMREAD_COLOR
    decoded = [cv2.imdecode(data, flag) for data in np.split(file[kind], np.cumsum(lengths)[:-1])]
    pictures = [p for p in decoded if p is not None and p.ndim == 3 and p.shape[2] in (3, channels)]
    if len(pictures) < len(decoded):
        raise ValueError(f"one of the {kind} does not decode")
    # WebP leaves out an alpha channel in which nothing is transparent
    return [cv2.cvtColor(p, cv2.COLOR_BGR2BGRA) if p.shape[2] < channels else p for p in pictures]
