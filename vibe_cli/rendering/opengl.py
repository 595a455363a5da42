"""OpenGL without a display: triangles drawn straight from arrays, in a context of EGL or OSMesa.

pyrender's own scene renderer reads colour and depth of the whole picture back for every frame; here only the
region that holds people is drawn, resolved and read.
"""

from __future__ import annotations

import ctypes
from functools import cache
from types import ModuleType

import cv2
import numpy as np

from vibe_cli.errors import VibeError
from vibe_cli.rendering.contexts import open_context
from vibe_cli.rendering.place import VEIL, Placed

SAMPLES = 4  # per pixel, by multisampling
BLOCK = 64  # pixels; picture buffers grow in such steps
VERTEX_SHADER = """#version 330 core
layout(location = 0) in vec3 position;  // x, y in pixels from the top left, depth 0..1
layout(location = 1) in vec3 colour;
layout(location = 2) in vec3 edges;     // pixels to the triangle's edges
uniform vec2 size;
centroid out vec3 shade;
centroid out vec3 distances;
void main() {
    gl_Position = vec4(position.xy * 2 / size - 1, position.z * 1.9 - 0.95, 1);
    shade = colour;
    distances = edges;
}"""
FRAGMENT_SHADER = """#version 330 core
centroid in vec3 shade;
centroid in vec3 distances;
uniform float line;                     // width of the edges in pixels; 0 fills
uniform float veil;                     // cover between the edges
out vec4 picture;                       // colour times cover, cover
void main() {
    float nearest = min(distances.x, min(distances.y, distances.z));
    float edge = line > 0 ? clamp(line / 2 + 0.5 - nearest, 0, 1) : 1;
    picture = vec4(clamp(shade, 0, 1) * edge, max(edge, veil));
}"""


class OpenGLRasteriser:
    """Draws with OpenGL 3.3; `platform` is egl or osmesa. VibeError where that cannot start.

    All of a process share one context a platform; they belong to the thread that made the first.
    """

    def __init__(self, platform: str) -> None:
        self.name = platform
        self._context, self._gl = open_context(platform)
        self._context.make_current()
        self._program = _program(self._gl)
        self.device = self._gl.glGetString(self._gl.GL_RENDERER).decode()
        self._size = (0, 0)
        self._pictures: list[int] = []
        self._array = self._gl.glGenVertexArrays(1)
        self._buffers = list(self._gl.glGenBuffers(2))

    def draw(self, placed: Placed, width: int, height: int, line: float = 0) -> tuple[np.ndarray, np.ndarray]:
        """Triangles → colour (height, width, 3) times cover, and cover (height, width), both uint8.

        `line` > 0 draws the edges alone, that many pixels wide.
        """
        gl = self._gl
        self._context.make_current()
        self._make_room(width, height)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._pictures[0])
        gl.glViewport(0, 0, width, height)
        gl.glScissor(0, 0, width, height)
        for feature in (gl.GL_SCISSOR_TEST, gl.GL_DEPTH_TEST, gl.GL_MULTISAMPLE):
            gl.glEnable(feature)
        for feature in (gl.GL_CULL_FACE, gl.GL_BLEND):
            gl.glDisable(feature)
        gl.glClearColor(0, 0, 0, 0)
        gl.glClear(gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT)
        gl.glUseProgram(self._program)
        gl.glUniform2f(gl.glGetUniformLocation(self._program, "size"), width, height)
        for name, value in (("line", line), ("veil", VEIL)):
            gl.glUniform1f(gl.glGetUniformLocation(self._program, name), value)
        self._upload(placed)
        gl.glDrawElements(gl.GL_TRIANGLES, placed.faces.size, gl.GL_UNSIGNED_INT, ctypes.c_void_p(0))
        gl.glBindVertexArray(0)
        return self._read(width, height)

    def close(self) -> None:
        """Give the buffers back."""
        if self._buffers:
            self._context.make_current()
            self._gl.glDeleteBuffers(2, self._buffers)
            self._gl.glDeleteVertexArrays(1, [self._array])
            self._delete_pictures()
            self._buffers = []

    def _upload(self, placed: Placed) -> None:
        gl = self._gl
        points = placed.points.copy()
        depth = points[:, 2] - points[:, 2].min()
        points[:, 2] = depth / max(float(depth.max()), 1e-6)
        columns = [points, placed.colours] + ([] if placed.edges is None else [placed.edges])
        data = np.ascontiguousarray(np.concatenate(columns, axis=1), np.float32)
        faces = np.ascontiguousarray(placed.faces, np.uint32)
        gl.glBindVertexArray(self._array)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._buffers[0])
        gl.glBufferData(gl.GL_ARRAY_BUFFER, data.nbytes, data, gl.GL_STREAM_DRAW)
        gl.glBindBuffer(gl.GL_ELEMENT_ARRAY_BUFFER, self._buffers[1])
        gl.glBufferData(gl.GL_ELEMENT_ARRAY_BUFFER, faces.nbytes, faces, gl.GL_STREAM_DRAW)
        for column in range(3):
            if column < len(columns):
                gl.glEnableVertexAttribArray(column)
                gl.glVertexAttribPointer(column, 3, gl.GL_FLOAT, False, data.strides[0], ctypes.c_void_p(column * 12))
            else:
                gl.glDisableVertexAttribArray(column)

    def _read(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        gl = self._gl
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._pictures[0])
        gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, self._pictures[1])
        gl.glBlitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.GL_COLOR_BUFFER_BIT, gl.GL_NEAREST)
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._pictures[1])
        gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
        picture = np.empty((height, width, 4), np.uint8)
        gl.glReadPixels(0, 0, width, height, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, array=picture)
        return cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), cv2.extractChannel(picture, 3)

    def _make_room(self, width: int, height: int) -> None:
        """A multisampled picture with depth and a plain one to resolve it in, at least this large."""
        if width <= self._size[0] and height <= self._size[1]:
            return
        gl = self._gl
        self._delete_pictures()
        wide, high = self._size
        self._size = (-(-max(wide, width) // BLOCK) * BLOCK, -(-max(high, height) // BLOCK) * BLOCK)
        frames, (colour, depth, plain) = gl.glGenFramebuffers(2), gl.glGenRenderbuffers(3)
        self._pictures = [*map(int, frames), int(colour), int(depth), int(plain)]
        for target, buffer, form, samples, point in (
            (frames[0], colour, gl.GL_RGBA8, SAMPLES, gl.GL_COLOR_ATTACHMENT0),
            (frames[0], depth, gl.GL_DEPTH_COMPONENT24, SAMPLES, gl.GL_DEPTH_ATTACHMENT),
            (frames[1], plain, gl.GL_RGBA8, 0, gl.GL_COLOR_ATTACHMENT0),
        ):
            gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, buffer)
            gl.glRenderbufferStorageMultisample(gl.GL_RENDERBUFFER, samples, form, *self._size)
            gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, target)
            gl.glFramebufferRenderbuffer(gl.GL_FRAMEBUFFER, point, gl.GL_RENDERBUFFER, buffer)
        if gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER) != gl.GL_FRAMEBUFFER_COMPLETE:
            raise VibeError(
                f"OpenGL refuses a picture of {self._size[0]}×{self._size[1]} pixels", hint="use the software renderer"
            )

    def _delete_pictures(self) -> None:
        if self._pictures:
            self._gl.glDeleteFramebuffers(2, self._pictures[:2])
            self._gl.glDeleteRenderbuffers(3, self._pictures[2:])
            self._pictures, self._size = [], (0, 0)


@cache
def _program(gl: ModuleType) -> int:
    """Our shaders, compiled once for the context that OpenGL's module serves."""
    from OpenGL.GL import shaders

    array = gl.glGenVertexArrays(1)
    gl.glBindVertexArray(array)  # a core profile validates programs only with one bound
    program = shaders.compileProgram(
        shaders.compileShader(VERTEX_SHADER, gl.GL_VERTEX_SHADER),
        shaders.compileShader(FRAGMENT_SHADER, gl.GL_FRAGMENT_SHADER),
    )
    gl.glBindVertexArray(0)
    gl.glDeleteVertexArrays(1, [array])
    return int(program)
