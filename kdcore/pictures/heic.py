"""HEIC pictures are decoded in a process of their own: on some damaged files libheif ends the process that calls it.

Each question and each answer begins with two numbers (`HEAD`). A question is the length of a label and of a file, then
both. An answer is the width and height of an RGB picture, then its pixels; or 0 and the length of a sentence, then the
sentence.
"""

from __future__ import annotations

import atexit
import contextlib
import struct
import subprocess
import sys
import threading
from typing import IO

from PIL import Image

from kdcore.errors import PictureError
from kdcore.machine.child_python import environment

HEAD = struct.Struct(">II")
LONGEST = 60.0  # seconds for one picture, after which the process is ended


class HeicDecoder:
    """The process that decodes, for one thread at a time; it starts with the first picture, and anew after it ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, data: bytes, label: str) -> Image.Image:
        """Decode a HEIC file as `open_picture` does.

        Args:
            label: the picture's name in sentences.

        Raises:
            PictureError: the process refuses the file, or the file ended it.
        """
        try:
            return _ask(self._started(), data, label.encode())
        except (OSError, struct.error) as error:  # the process ended
            self.close()
            raise PictureError(
                f"{label} is damaged and cannot be decoded; copy or save it again, or choose another picture."
            ) from error

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kdcore.pictures.heic_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
            )
            atexit.register(self.close)
        return self._process

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            atexit.unregister(self.close)
            process.kill()
            with process, contextlib.suppress(OSError):  # closes its pipes and waits for it
                pass


def _ask(process: subprocess.Popen[bytes], data: bytes, label: bytes) -> Image.Image:
    """Send a file to the process and return the picture that it answers with.

    Raises:
        PictureError: the process refuses the file.
        OSError, struct.error: the process ended.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    limit = threading.Timer(LONGEST, process.kill)
    limit.start()
    try:
        send(process.stdin, len(label), len(data), label + data)
        width, number = HEAD.unpack(process.stdout.read(HEAD.size))
        size = 3 * width * number if width else number
        answer = process.stdout.read(size)
    finally:
        limit.cancel()
    if len(answer) < size:
        raise BrokenPipeError
    if not width:
        raise PictureError(answer.decode())
    return Image.frombytes("RGB", (width, number), answer)


def send(pipe: IO[bytes], first: int, second: int, content: bytes) -> None:
    """Write two numbers and what they are about."""
    pipe.write(HEAD.pack(first, second) + content)
    pipe.flush()
