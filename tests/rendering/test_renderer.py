"""Bodies drawn into frames: where they land, who hides whom, how they look, and what happens without OpenGL."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from vibe_cli.errors import InputError, UsageError, VibeError
from vibe_cli.geometry import camera
from vibe_cli.rendering import backends, place
from vibe_cli.rendering import renderer as drawing
from vibe_cli.rendering.light import Topology
from vibe_cli.rendering.renderer import Mesh, Renderer, RendererError, colour_of, output_size, render_result
from vibe_cli.results import Person, Result, VideoInfo

WIDTH, HEIGHT = 200, 150
CENTRED = np.array([0.75, 1.0, 0.0, 0.0])  # square pixels: a metre covers 75 of them
BALL = trimesh.creation.icosphere(subdivisions=3, radius=0.5)


@pytest.fixture(scope="module", params=["software", "egl"])
def renderer(request):
    try:
        with Renderer(WIDTH, HEIGHT, request.param) as renderer:
            yield renderer
    except RendererError as error:
        if request.param == "software":
            raise
        pytest.skip(error.message)


@pytest.fixture(scope="module")
def software():
    return Renderer(WIDTH, HEIGHT, "software")


@pytest.fixture(scope="module")
def body():
    from vibe_cli.body.body_models import load_body

    return load_body()


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def ball(person=1, at=(0, 0, 0), **fields):
    return Mesh(BALL.vertices + at, CENTRED, person, **fields)


def hue_of(pixel):
    return int(cv2.cvtColor(np.uint8(pixel)[None, None], cv2.COLOR_RGB2HSV)[0, 0, 0])


def shows(pixel, person):
    return abs(hue_of(pixel) - hue_of(colour_of(person))) <= 3


def standing(frames=1, person=1, pose=(), box=(100, 75, 140, 140), first=0):
    """Somebody who faces the camera in T-pose, except for the joints in `pose`."""
    rotations = np.zeros((frames, 24, 3))
    rotations[:, 0, 0] = np.pi  # the body's y is up, the camera's down
    for joint, rotation in dict(pose).items():
        rotations[:, joint] = rotation
    return Person(
        id=person,
        frames=np.arange(first, first + frames),
        boxes=np.tile(box, (frames, 1)),
        pose=rotations,
        betas=np.zeros(10),
        camera=np.tile([0.9, 0, 0.1], (frames, 1)),
        confidence=np.ones(frames),
        filled=np.zeros(frames),
    )


def result_of(*people, frames=1):
    video = VideoInfo("clip.mp4", WIDTH, HEIGHT, Fraction(25), np.arange(frames) / 25)
    return Result(video, list(people))


class Sink(list):
    write = list.append


def filled(points, faces):
    """How far projected triangles cover each pixel, 0..255, by another rasteriser at eight times the size."""
    large = np.zeros((HEIGHT * 8, WIDTH * 8), np.uint8)
    for triangle in np.rint((points[faces] * 8 - 0.5) * 16).astype(np.int32):
        cv2.fillConvexPoly(large, triangle, 255, shift=4)
    return cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


# --- where bodies land -------------------------------------------------------------------------------------


def test_the_silhouette_is_where_the_camera_projects_the_vertices(renderer, body):
    person = standing(pose={16: (0, 0, 0.9), 1: (-0.7, 0, 0)}, box=(70, 66, 120, 120))
    result, sink = result_of(person), Sink()
    render_result(result, [(0, picture())], body, "mask", renderer, sink)
    drawn = sink[0][..., 0]

    from vibe_cli.body.body_models import vertices_of

    projected = camera.project_image(vertices_of(person, body), person.image_camera(result.video), WIDTH, HEIGHT)
    wanted = filled(projected[0], body.faces)
    pixel = np.ones((3, 3), np.uint8)
    assert not ((drawn > 127) & (cv2.dilate(wanted, pixel) < 128)).any()
    assert not ((wanted > 127) & (cv2.dilate(drawn, pixel) < 128)).any()
    assert np.minimum(drawn, wanted).sum() > 0.95 * np.maximum(drawn, wanted).sum()
    where = [
        np.average(np.indices(mask.shape).reshape(2, -1), axis=1, weights=mask.ravel()) for mask in (drawn, wanted)
    ]
    assert np.abs(where[0] - where[1]).max() < 0.2


def test_a_raised_left_arm_is_on_the_right_of_who_faces_the_camera(software, body):
    sink = Sink()
    person = standing(pose={16: (0, 0, 1.3), 17: (0, 0, 1.3)})  # left shoulder up, right shoulder down
    render_result(result_of(person), [(0, picture())], body, "mask", software, sink)
    rows, columns = np.nonzero(sink[0][..., 0] > 127)
    head = np.median(columns[rows < np.percentile(rows, 30)])
    assert columns[rows.argmin()] > head + 5  # the highest point is a hand, not the head


def test_a_body_that_leaves_the_image_is_cut_at_its_border(renderer):
    inside = renderer.render_frame(None, [ball()], BALL.faces, "plain")
    shifted = replace(ball(), camera=CENTRED + [0, 0, -4 / 3, 0])  # by half the width
    cut = renderer.render_frame(None, [shifted], BALL.faces, "plain")
    assert np.abs(cut[:, :38].astype(int) - inside[:, 100:138]).max() <= 2
    away = replace(ball(), camera=CENTRED + [0, 0, 50, 0])
    assert np.array_equal(renderer.render_frame(picture(), [away], BALL.faces), picture())


def test_a_body_larger_than_the_image_fills_it(renderer):
    huge = replace(ball(), camera=np.array([750, 1000, 0, 0]))
    assert renderer.render_frame(None, [huge], BALL.faces, "mask").min() == 255


def test_the_side_view_stands_beside_and_looks_left(renderer):
    nose = Mesh(np.concatenate([BALL.vertices * 0.6, BALL.vertices * 0.2 + [0, 0, -0.5]]), CENTRED, 1)
    faces = np.concatenate([BALL.faces, BALL.faces + len(BALL.vertices)])
    frame = picture()
    both = renderer.render_frame(frame, [nose], faces, "side")
    assert both.shape == (HEIGHT, 2 * WIDTH, 3) and output_size("side", WIDTH, HEIGHT) == (2 * WIDTH, HEIGHT)
    assert np.array_equal(both[:, :WIDTH], renderer.render_frame(frame, [nose], faces, "overlay"))
    columns = np.flatnonzero((both[HEIGHT // 2, WIDTH:] < 200).any(axis=1))
    assert abs(columns.min() - (100 - 0.6 * 75)) < 2 and abs(columns.max() - (100 + 0.3 * 75)) < 2


# --- who hides whom ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_person_hides_the_farther_one(renderer, order):
    people = [ball(1, at=(-0.2, 0, 0), depth=7.0), ball(2, at=(0.2, 0, 0), depth=3.0)]
    seen = renderer.render_frame(None, [people[i] for i in order], BALL.faces, "plain")
    assert shows(seen[75, 100], 2) and shows(seen[75, 53], 1)


def test_at_one_depth_the_nearer_limb_is_seen(renderer):
    people = [ball(1, at=(0, 0, -0.05), depth=4.0), ball(2, at=(0, 0, 0.05), depth=4.0)]
    assert shows(renderer.render_frame(None, people, BALL.faces, "plain")[75, 100], 1)
    turned = [replace(mesh, vertices=mesh.vertices * [1, 1, -1]) for mesh in people]
    assert shows(renderer.render_frame(None, turned, BALL.faces, "plain")[75, 100], 2)


def test_a_wild_depth_does_not_spoil_the_order_of_the_others(renderer):
    people = [
        ball(1, at=(0, 0, -0.01), depth=4.0),
        ball(2, at=(0, 0, 0.01), depth=4.0),
        ball(3, depth=1e9),
        ball(4, at=(0.9, 0, 0), depth=2e9),
    ]
    assert shows(renderer.render_frame(None, people, BALL.faces, "plain")[75, 100], 1)
    assert np.array_equal(place.spread_depths(np.array([5.0, 1e9, 3.5])), [1.5, 5.5, 0.0])


def test_overlapping_regions_are_joined_until_none_overlap():
    chain = [(0, 0, 10, 10), (40, 0, 50, 10), (9, 5, 30, 8), (29, 0, 41, 9), (60, 60, 70, 70)]
    assert sorted((region, sorted(who)) for region, who in place.disjoint(chain)) == [
        ((0, 0, 50, 10), [0, 1, 2, 3]),
        ((60, 60, 70, 70), [4]),
    ]


# --- how they look -----------------------------------------------------------------------------------------


def test_every_person_keeps_a_colour_that_differs_from_the_others():
    assert colour_of(3) == colour_of(3)
    first = np.array([colour_of(i) for i in range(1, 13)], int)
    apart = np.linalg.norm(first[:, None] - first[None], axis=2)[~np.eye(12, dtype=bool)]
    assert apart.min() > 40
    assert len({colour_of(i) for i in range(1, 60)}) > 55
    assert all(0 <= value <= 255 for i in (0, 1, 999) for value in colour_of(i))


def test_light_falls_from_the_upper_left_and_shades_smoothly(renderer):
    seen = renderer.render_frame(None, [ball()], BALL.faces, "plain").astype(int).sum(axis=2)
    assert seen[62, 87] > seen[75, 100] > seen[88, 113] + 30
    inside = seen[55:95, 80:120]
    assert max(np.abs(np.diff(inside, axis=0)).max(), np.abs(np.diff(inside, axis=1)).max()) < 40


def test_the_order_of_a_triangles_corners_does_not_matter(renderer):
    frame = picture()
    forward = renderer.render_frame(frame, [ball()], BALL.faces)
    assert np.array_equal(forward, renderer.render_frame(frame, [ball()], BALL.faces[:, ::-1].copy()))


def test_the_inside_of_an_open_mesh_is_drawn(renderer):
    towards_us = BALL.triangles_center[:, 2] < 0
    bowl = BALL.faces[~towards_us]  # only its inside can be seen
    assert Topology(BALL.faces, len(BALL.vertices)).closed and not Topology(bowl, len(BALL.vertices)).closed
    assert renderer.render_frame(None, [ball()], bowl, "mask")[75, 100, 0] == 255


def test_edges_are_soft_and_cover_what_they_should(renderer):
    mask = renderer.render_frame(None, [ball()], BALL.faces, "mask")[..., 0]
    grey = (mask > 0) & (mask < 255)
    assert 40 < grey.sum() < 400 and len(np.unique(mask[grey])) >= 3
    rows, columns = np.indices(mask.shape) + 0.5
    from_centre = np.hypot(rows - 75, columns - 100)
    assert (mask[from_centre < 35.5] == 255).all() and (mask[from_centre > 38.5] == 0).all()
    assert abs(mask.sum() / 255 / (np.pi * 37.5**2) - 1) < 0.01


def test_soft_edges_have_no_dark_fringe():
    white = np.full((4, 4, 3), 255, np.uint8)
    cover = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
    for opacity in (1.0, 0.5):
        seen = white.copy()
        drawing._lay_over(seen, cv2.merge([cover] * 3), cover, opacity)
        assert seen.min() >= 253


def test_the_mask_is_white_on_black_whatever_the_frame(renderer):
    mask = renderer.render_frame(picture(), [ball(1), ball(2, at=(0.9, 0, 0), depth=2.0)], BALL.faces, "mask")
    assert mask.shape == (HEIGHT, WIDTH, 3) and output_size("mask", WIDTH, HEIGHT) == (WIDTH, HEIGHT)
    assert (mask[..., 0] == mask[..., 1]).all() and mask[75, 100, 0] == 255 and mask[0, 0, 0] == 0


def test_a_wireframe_shows_lines_and_what_lies_behind(renderer):
    coarse = trimesh.creation.icosphere(subdivisions=1, radius=0.5)
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    seen = renderer.render_frame(white, [Mesh(coarse.vertices, CENTRED, 1)], coarse.faces, "wireframe")
    inside = seen[60:90, 85:115].reshape(-1, 3).astype(int)
    veiled = (np.abs(inside - 128) <= 3).all(axis=1)  # white, darkened, is grey
    blue = inside[:, 2] - inside[:, 0] > 25
    assert veiled.mean() > 0.3 and 0.03 < blue.mean() < 0.6
    assert (seen[0, 0] == 255).all()


def test_backends_draw_the_same_picture(renderer, software):
    people, frame = [ball(1, depth=5.0), ball(2, at=(0.6, 0.2, 0), depth=4.0)], picture()
    for style in drawing.STYLES:
        ours, theirs = (r.render_frame(frame, people, BALL.faces, style).astype(int) for r in (renderer, software))
        assert np.abs(ours - theirs).mean() < (3 if style == "wireframe" else 0.5), style


def test_the_frame_given_is_not_changed(renderer):
    frame = picture()
    drawn = renderer.render_frame(frame, [ball()], BALL.faces)
    assert np.array_equal(frame, picture()) and not np.array_equal(drawn, frame)
    assert drawn.dtype == np.uint8 and drawn.flags.c_contiguous


# --- whole clips -------------------------------------------------------------------------------------------


def test_people_appear_in_their_frames_and_the_others_pass_through(software, body):
    result = result_of(standing(3, 1, first=1), standing(2, 2, box=(40, 75, 100, 100), first=3), frames=6)
    frames = [picture(seed) for seed in range(6)]
    sink = Sink()
    assert render_result(result, enumerate(frames), body, "overlay", software, sink) == 6
    changed = [not np.array_equal(a, b) for a, b in zip(frames, sink, strict=True)]
    assert changed == [False, True, True, True, True, False]


def test_vertices_are_computed_in_bounded_chunks_while_frames_stream(software, monkeypatch, body):
    computed, sink, count = [], Sink(), 2 * drawing.CHUNK + 5

    def vertices_of(person, _):
        computed.append(person.frames)
        return np.zeros((len(person), 3, 3), np.float32)

    def frames():
        for index in range(count):
            assert len(sink) == index, "a frame was asked for before the last one was written"
            yield index, np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    monkeypatch.setattr("vibe_cli.body.body_models.vertices_of", vertices_of)
    triangle = type("Triangle", (), {"faces": np.array([[0, 1, 2]])})
    render_result(result_of(standing(count), frames=count), frames(), triangle, "plain", software, sink)
    assert max(map(len, computed)) <= drawing.CHUNK
    assert np.array_equal(np.concatenate(computed), np.arange(count))


# --- what can go wrong -------------------------------------------------------------------------------------


def test_a_frame_of_another_size_is_refused(software):
    with pytest.raises(InputError, match="100×80"):
        software.render_frame(np.zeros((80, 100, 3), np.uint8), [], BALL.faces)


def test_unknown_styles_and_renderers_are_refused_by_name(software):
    with pytest.raises(UsageError, match="sketch") as error:
        software.render_frame(picture(), [], BALL.faces, "sketch")
    assert "wireframe" in error.value.hint
    with pytest.raises(UsageError, match="vulkan"):
        Renderer(8, 8, "vulkan")


def test_what_cannot_start_is_passed_over_and_named(monkeypatch):
    def broken():
        raise RuntimeError("no driver")

    monkeypatch.setitem(backends.BACKENDS, "egl", broken)
    monkeypatch.setitem(backends.BACKENDS, "osmesa", broken)
    renderer = Renderer(8, 8)
    assert renderer.name == "software" and renderer.refused == [
        "egl: RuntimeError: no driver",
        "osmesa: RuntimeError: no driver",
    ]
    with pytest.raises(VibeError, match="no driver"):
        Renderer(8, 8, "egl")


def test_a_renderer_that_draws_nonsense_is_passed_over(monkeypatch):
    class Blank(type(backends.BACKENDS["software"]())):
        name = "egl"

        def draw(self, placed, width, height, line=0):
            return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)

    monkeypatch.setitem(backends.BACKENDS, "egl", Blank)
    monkeypatch.setitem(backends.BACKENDS, "osmesa", Blank)
    renderer = Renderer(8, 8)
    assert renderer.name == "software" and "test picture" in renderer.refused[0]


def test_without_the_rasteriser_of_opencv_5_there_is_advice(monkeypatch):
    monkeypatch.delattr(cv2, "triangleRasterize")
    with pytest.raises(RendererError) as error:
        Renderer(8, 8, "software")
    assert "opencv-python>=5" in error.value.hint


def test_closing_one_renderer_leaves_the_others_working(renderer):
    before = renderer.render_frame(None, [ball()], BALL.faces, "plain")
    Renderer(WIDTH, HEIGHT, renderer.name).close()
    assert np.array_equal(before, renderer.render_frame(None, [ball()], BALL.faces, "plain"))


def test_torchs_compiler_can_be_imported_after_opengl_started(renderer):
    if renderer.name == "software" or not importlib.util.find_spec("triton"):
        pytest.skip("needs OpenGL and triton")
    code = "import vibe_cli.rendering.renderer as r; r.Renderer(4, 4, 'egl'); import triton"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_importing_starts_no_opengl_and_sets_nothing():
    code = (
        "import os, sys; import vibe_cli.rendering.renderer as r; r.Renderer(4, 4, 'software');"
        "assert 'PYOPENGL_PLATFORM' not in os.environ;"
        "assert not {'OpenGL', 'pyrender', 'torch'} & set(sys.modules)"
    )
    clean = {key: value for key, value in os.environ.items() if key != "PYOPENGL_PLATFORM"}
    subprocess.run([sys.executable, "-c", code], check=True, env=clean, cwd=Path(__file__).parents[2])
