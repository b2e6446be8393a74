"""The process that decodes HEIC pictures, one after the other, until its input ends; see `kdcore.pictures.heic`."""

from __future__ import annotations

import sys

from kdcore.errors import PictureError
from kdcore.pictures.decode import decode_here
from kdcore.pictures.heic import HEAD, send


def main() -> None:
    """Read files from standard input and write what becomes of each to standard output."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while head := questions.read(HEAD.size):
        label_length, length = HEAD.unpack(head)
        label, data = questions.read(label_length).decode(), questions.read(length)
        try:
            picture = decode_here(data, label)
        except PictureError as error:
            sentence = str(error).encode()
            send(answers, 0, len(sentence), sentence)
        else:
            send(answers, *picture.size, picture.tobytes())


if __name__ == "__main__":
    main()
