"""The types that travel between stages: frozen, shape-checked at birth; numpy outside, torch inside.

Letters: T frames of a track, N detections of a frame, K 2D keypoints. Boxes are centre x, centre y, width,
height in image pixels. Parameters are stored, geometry (vertices, joints) is derived from them by a body.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vibe_cli.body.derived import Derived, Scene, table_of
from vibe_cli.errors import InputError, ModelError
from vibe_cli.geometry import camera
from vibe_cli.geometry.skeleton import JOINT_NAMES, JOINTS_49, JOINTS_54
from vibe_cli.importing.safe_read import read_npz
from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT = "vibe-result"
FORMAT_VERSION = 1
DENSE = 50  # times smaller than its arrays a result may be; a real one is some 3 times
AXES = "camera: x right, y down, z into the image; metres; rest pose faces +z with y up"


def _check(owner: object, name: str, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Cast a field and raise ValueError unless it has the shape; None admits any length."""
    value: np.ndarray = np.ascontiguousarray(getattr(owner, name), dtype=dtype)
    if value.ndim != len(shape) or any(w is not None and w != h for w, h in zip(shape, value.shape, strict=False)):
        raise ValueError(f"{type(owner).__name__}.{name}: shape {value.shape}, expected {shape}")
    object.__setattr__(owner, name, value)


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """A clip's displayed size, rate and time stamps."""

    path: str  # as the user gave it
    width: int  # pixels, after rotation
    height: int
    fps: Fraction  # nominal rate, exact
    times: np.ndarray  # (frames,) float64  seconds of each decoded frame
    has_audio: bool = False
    kind: str = "video"  # video | images, the frames of a clip | photos, each by itself
    files: tuple[str, ...] = ()  # the name of each frame's file, where frames are files
    scenes: np.ndarray = field(default_factory=lambda: np.zeros(1))  # (S,) int64  the first frame of every shot
    stream: int | None = None  # of a file of several videos, the number of the one that it is

    def __post_init__(self) -> None:
        _check(self, "times", np.float64, (None,))
        _check(self, "scenes", np.int64, (None,))
        if self.files and len(self.files) != len(self.times):
            raise ValueError(f"VideoInfo.files: {len(self.files)} names of {len(self.times)} frames")

    @property
    def frames(self) -> int:
        """How many frames were decoded (never what the header claims)."""
        return len(self.times)


@dataclass(frozen=True, eq=False)
class Detections:
    """The people found in one frame."""

    boxes: np.ndarray  # (N, 4) float32
    scores: np.ndarray  # (N,)   float32  0..1

    def __post_init__(self) -> None:
        _check(self, "boxes", np.float32, (None, 4))
        _check(self, "scores", np.float32, (len(self.boxes),))

    @classmethod
    def empty(cls) -> Detections:
        """Nobody."""
        return cls(np.zeros((0, 4)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class Track:
    """One person's box over consecutive frames, gaps filled."""

    id: int
    frames: np.ndarray  # (T,)   int64    index into the clip, ascending
    boxes: np.ndarray  # (T, 4) float32
    scores: np.ndarray  # (T,)   float32  the detector's; 0 where filled
    filled: np.ndarray  # (T,)   bool     True where no detection supports the box

    def __post_init__(self) -> None:
        _check(self, "frames", np.int64, (None,))
        _check(self, "boxes", np.float32, (len(self.frames), 4))
        _check(self, "scores", np.float32, (len(self.frames),))
        _check(self, "filled", np.bool_, (len(self.frames),))

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, eq=False)
class TrackFeatures:
    """Encoder output for one track."""

    track: Track
    boxes: np.ndarray  # (T, 4)     float32  the square that was cropped, scale included
    features: np.ndarray  # (T, F)     float32  what the network reads of a frame: picture, then flow if it has
    keypoints: np.ndarray | None = None  # (T, K, 3) float32  x, y in image pixels and confidence, or None
    given: bool = False  # whether the keypoints are the user's, not the encoder's

    def __post_init__(self) -> None:
        _check(self, "boxes", np.float32, (len(self.track), 4))
        _check(self, "features", np.float32, (len(self.track), None))
        if self.keypoints is not None:
            _check(self, "keypoints", np.float32, (len(self.track), None, 3))

    def __len__(self) -> int:
        return len(self.track)


@dataclass(frozen=True, eq=False)
class Person(Derived):
    """One tracked person over T frames: the parameters, and by `Derived` what follows from them."""

    id: int
    frames: np.ndarray  # (T,)       int64    index into the source video
    boxes: np.ndarray  # (T, 4)     float32  the square that was cropped, scale included
    pose: np.ndarray  # (T, 24, 3) float32  axis-angle, radians; joint 0 is the root, in camera axes
    betas: np.ndarray  # (10,)      float32  one shape for the whole track
    camera: np.ndarray  # (T, 3)     float32  crop camera s, tx, ty
    confidence: np.ndarray  # (T,)       float32  0..1, the detector's; 0 where filled
    filled: np.ndarray  # (T,)       bool     box interpolated over a gap
    keypoints: np.ndarray | None = None  # (T, K, 3) float32  x, y in image pixels and confidence, or None
    scene: Scene | None = field(default=None, repr=False)  # of the result that the person is in, which sets it

    def __post_init__(self) -> None:
        count = len(self.frames)
        _check(self, "frames", np.int64, (None,))
        _check(self, "boxes", np.float32, (count, 4))
        _check(self, "pose", np.float32, (count, 24, 3))
        _check(self, "betas", np.float32, (10,))
        _check(self, "camera", np.float32, (count, 3))
        _check(self, "confidence", np.float32, (count,))
        _check(self, "filled", np.bool_, (count,))
        if self.keypoints is not None:
            _check(self, "keypoints", np.float32, (count, None, 3))

    def __len__(self) -> int:
        return len(self.frames)

    def at(self, rows: slice | np.ndarray) -> Person:
        """The same person in some of their frames only; `rows` is an index into the track, or a mask of it."""
        names = ("frames", "boxes", "pose", "camera", "confidence", "filled", "keypoints")
        return replace(self, **{name: value[rows] for name in names if (value := getattr(self, name)) is not None})

    def image_camera(self, video: VideoInfo) -> np.ndarray:
        """(T, 4) sx, sy, tx, ty of the full image."""
        return camera.crop_to_image_camera(self.camera, self.boxes, video.width, video.height)

    def translation(self, video: VideoInfo) -> np.ndarray:
        """(T, 3) metres, the pelvis in the camera of `camera.default_intrinsics`."""
        intrinsics = camera.default_intrinsics(video.width, video.height)
        return camera.metric_translation(self.camera, self.boxes, intrinsics)


@dataclass(frozen=True, eq=False)
class Result:
    """Everybody's motion in one clip."""

    video: VideoInfo
    people: list[Person]
    model: str = "unknown"  # name of the temporal model
    body: str = "open"  # open | smpl: whose betas these are
    metadata: dict = field(default_factory=dict)  # JSON-able extras

    def __post_init__(self) -> None:
        """Tell everybody their scene: themselves, or a copy where they are in another result's already."""
        file = self.metadata.get("body_file")
        scene = Scene(self.video, self.body, file if isinstance(file, str) else None)
        object.__setattr__(self, "people", [_in_scene(person, scene) for person in self.people])

    def to_dataframe(self) -> DataFrame:
        """Everybody's `Person.to_dataframe`, one below the other. UsageError without pandas."""
        return table_of(self.people)

    @classmethod
    def empty(cls, video: VideoInfo, model: str = "unknown", body: str = "open") -> Result:
        """A valid result with nobody in it."""
        return cls(video, [], model, body)

    def save(self, path: str | Path) -> None:
        """Write a compressed .npz without pickles; written beside and renamed, so never half a file."""
        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "axes": AXES,
            "model": self.model,
            "body": self.body,
            "people": [person.id for person in self.people],
            "metadata": self.metadata,
            "video": {
                "path": self.video.path,
                "width": self.video.width,
                "height": self.video.height,
                "fps": str(self.video.fps),
                "has_audio": self.video.has_audio,
                "kind": self.video.kind,
                **({} if self.video.stream is None else {"stream": self.video.stream}),
            },
        }
        arrays = {
            "header": np.array(json.dumps(header)),
            "times": self.video.times,
            "scenes": self.video.scenes,
            "joint_names": np.array(JOINT_NAMES),
            "joint_names_49": np.array([JOINTS_54[joint] for joint in JOINTS_49]),
            "intrinsics": camera.default_intrinsics(self.video.width, self.video.height),
        }
        if self.video.files:
            arrays["files"] = np.array(self.video.files)
        for person in self.people:
            values = {
                name: getattr(person, name)
                for name in ("frames", "boxes", "pose", "betas", "camera", "confidence", "filled", "keypoints")
            }
            values |= {
                "times": self.video.times[person.frames],
                "cam_image": person.image_camera(self.video),
                "trans_cam": person.translation(self.video),
            }
            arrays |= {f"person{person.id}/{k}": v for k, v in values.items() if v is not None}
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a result; InputError when it is not one, is damaged, or is of a later version."""
        hint = "a result is the result.npz that `vibe demo` wrote"
        try:
            content = read_npz(path, dense=DENSE)
            header = json.loads(str(content["header"][()]))
            if header.get("format") != FORMAT:
                raise KeyError("format")
            if header["version"] > FORMAT_VERSION:
                raise InputError(
                    f"{path}: written by a newer vibe (format {header['version']})",
                    hint="upgrade with: pip install -U vibe-cli",
                )
            facts = header["video"] | {"fps": Fraction(header["video"]["fps"])}
            facts["files"] = tuple(map(str, content["files"])) if "files" in content else ()
            facts["scenes"] = content["scenes"] if "scenes" in content else np.zeros(1)
            video = VideoInfo(times=content["times"], **facts)
            people = []
            for number in header["people"]:
                names = {key.split("/", 1)[1]: key for key in content if key.startswith(f"person{number}/")}
                fields = set(Person.__dataclass_fields__) & set(names)
                arrays: dict[str, Any] = {name: content[names[name]] for name in fields}
                people.append(Person(id=number, **arrays))
            _check_header(video, people)
            return cls(
                video=video,
                people=people,
                model=str(header["model"]),
                body=str(header["body"]),
                metadata=dict(header["metadata"]),
            )
        except FileNotFoundError:
            raise InputError(f"{path}: no such file", hint=hint) from None
        except MemoryError:
            raise InputError(f"{path}: its arrays do not fit into memory", hint=hint) from None
        except InputError:
            raise
        except ModelError as error:
            reason = error.message.removeprefix(f"{path}: ")
            raise InputError(f"{path}: not a vibe result ({reason})", hint=hint) from None
        except Exception as error:  # a damaged or hostile file fails in any way at all
            raise InputError(f"{path}: not a vibe result ({type(error).__name__}: {error})", hint=hint) from None


def _in_scene(person: Person, scene: Scene) -> Person:
    """The person with this scene."""
    if person.scene is None:
        object.__setattr__(person, "scene", scene)
    return person if scene.same_as(person.scene) else replace(person, scene=scene)


def _check_header(video: VideoInfo, people: list[Person]) -> None:
    """ValueError for a rate, ids or frames that no clip has."""
    if video.fps <= 0:
        raise ValueError(f"{video.fps} frames a second")
    for person in people:
        if type(person.id) is not int or person.id < 1:
            raise ValueError(f"a person of the id {person.id!r}")
        if len(person.frames) and not 0 <= person.frames.min() <= person.frames.max() < video.frames:
            raise ValueError(f"frames beyond the clip's {video.frames}")


def write_npz(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to a compressed .npz, byte-identical for equal arrays, and rename it into place."""
    with replacing_file(Path(path)) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(value), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(name + ".npy", (1980, 1, 1, 0, 0, 0)),
                buffer.getvalue(),
                compress_type=zipfile.ZIP_DEFLATED,
            )
