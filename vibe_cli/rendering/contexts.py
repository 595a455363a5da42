"""OpenGL contexts without a display: EGL as pyrender opens it, or OSMesa."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Protocol

from vibe_cli.errors import VibeError


class Context(Protocol):
    """An OpenGL context of this thread."""

    def init_context(self) -> None:
        """Create it."""
        ...

    def make_current(self) -> None:
        """Direct what OpenGL is told to it."""
        ...


@cache
def open_context(platform: str) -> tuple[Context, ModuleType]:
    """The process's context of a platform, made at the first call, and PyOpenGL's GL; VibeError where none can be.

    PyOpenGL binds to a platform at its first import, as an environment variable says.
    """
    if "OpenGL.platform" in sys.modules:
        bound = type(sys.modules["OpenGL.platform"].PLATFORM).__name__
        if bound.lower() != f"{platform}platform":
            raise VibeError(
                f"{platform}: this process already uses OpenGL by {bound}",
                hint="use the software renderer, or start anew",
            )
    with suppress(ImportError):
        # triton (of torch) and Mesa each carry an LLVM. With Mesa's loaded first, importing triton, as torchvision
        # does, ends the process with a segmentation fault; the other way round both work.
        import triton  # noqa: F401
    known, setting = set(sys.modules), os.environ.get("PYOPENGL_PLATFORM")
    os.environ["PYOPENGL_PLATFORM"] = platform
    reasons = []
    try:
        from OpenGL import GL

        for candidate in _candidates(platform):
            try:
                candidate.init_context()
                candidate.make_current()
                if GL.glGetIntegerv(GL.GL_MAJOR_VERSION) < 3:
                    raise RuntimeError("OpenGL is too old")
                return candidate, GL
            except Exception as error:  # drivers fail in every way there is; each means: not this device
                reasons.append(error)
    except Exception as error:  # a missing library is an ImportError, AttributeError, OSError or TypeError
        reasons.append(error)
    for name in set(sys.modules) - known:  # let another platform start afresh
        if name.split(".")[0] in ("OpenGL", "pyrender"):
            del sys.modules[name]
    os.environ.pop("PYOPENGL_PLATFORM")
    if setting is not None:
        os.environ["PYOPENGL_PLATFORM"] = setting
    raise VibeError(
        f"{platform}: {in_one_line(reasons[0])}" if reasons else f"{platform}: no device",
        hint="use the software renderer",
    )


def _candidates(platform: str) -> list[Context]:
    """The platform's devices: the one that EGL_DEVICE_ID names, or each in turn."""
    if platform == "osmesa":
        return [_OSMesa()]
    from pyrender.platforms import egl

    if "EGL_DEVICE_ID" in os.environ:
        devices = [egl.get_device_by_index(int(os.environ["EGL_DEVICE_ID"]))]
    else:
        try:
            devices = egl.query_devices()
        except RuntimeError:  # no such extension
            devices = []
    return [egl.EGLPlatform(1, 1, device) for device in [*devices, egl.EGLDevice(None)]]


class _OSMesa:
    """A context of Mesa's off-screen library.

    pyrender's own asks PyOpenGL for OSMesaCreateContextAttribs, which the release that it pins does not have.
    """

    # OSMESA_FORMAT RGBA, DEPTH_BITS 24, PROFILE CORE, CONTEXT_MAJOR_VERSION 3, CONTEXT_MINOR_VERSION 3
    _ATTRIBUTES = (0x22, 0x1908, 0x30, 24, 0x33, 0x34, 0x36, 3, 0x37, 3, 0)

    def init_context(self) -> None:
        """Create it."""
        from OpenGL.platform import PLATFORM

        PLATFORM.GetCurrentContext.restype = ctypes.c_void_p  # PyOpenGL keeps it as a key; its own type is none
        create, self._use = PLATFORM.OSMesa.OSMesaCreateContextAttribs, PLATFORM.OSMesa.OSMesaMakeCurrent
        create.restype, create.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]
        self._use.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_int]
        self._context = create((ctypes.c_int * len(self._ATTRIBUTES))(*self._ATTRIBUTES), None)
        self._picture = (ctypes.c_ubyte * 4)()  # one pixel: pictures are drawn into buffers of their own

    def make_current(self) -> None:
        """Direct what OpenGL is told to it."""
        unsigned_byte = 0x1401
        if not self._context or not self._use(self._context, self._picture, unsigned_byte, 1, 1):
            raise RuntimeError("OSMesa gives no OpenGL 3.3")


def in_one_line(error: Exception) -> str:
    """An exception in one short line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
