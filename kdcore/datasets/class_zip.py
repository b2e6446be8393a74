"""Read a zip of class folders from memory. What is in it was made by others, so nothing in it is trusted."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from pathlib import PurePosixPath

from kdcore.datasets.class_names import printable
from kdcore.datasets.split_names import is_hidden, split_of_folder
from kdcore.errors import ConfigError
from kdcore.pictures.decode import FORMATS_TEXT, MAX_BYTES
from kdcore.pictures.headers import starts_like_a_picture

MAX_FILES = 2_000
MAX_UNPACKED_BYTES = 256 * 2**20  # of all files together; they stay in memory
_ENCRYPTED, _UTF8 = 0x1, 0x800  # bits of an entry's flags
_ZIP_START = b"PK\x03\x04"

Files = dict[str, list[tuple[str, bytes]]]


def read_folders(data: bytes) -> Files:
    """Return class folder -> the names and bytes of its picture files; those at the top of the zip stand under "".

    A folder that holds all others is passed over, and so are folders called train, test and the like. Hidden files and
    files that are no pictures are left out.

    Raises:
        ConfigError: the zip is damaged, too large, protected, or holds no picture, another zip, or a name that climbs
            out or cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = _checked_entries(archive)
            paths = _below_common_folders([path for path, _ in entries])
            files: Files = {}
            for path, (_, info) in zip(paths, entries, strict=True):
                content = archive.read(info)
                if content.startswith(_ZIP_START):
                    raise ConfigError(
                        f"The zip holds another one ({printable(path.name)}); put the folders of pictures into one zip."
                    )
                if starts_like_a_picture(content):
                    files.setdefault(_class_of(path), []).append((printable(path.name), content))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise ConfigError("The zip is damaged or is none; make it again from your folders of pictures.") from error
    except (NotImplementedError, RuntimeError) as error:
        raise ConfigError("The zip is packed in a way that cannot be read here; make an ordinary zip.") from error
    if not files:
        raise ConfigError(f"The zip holds no picture; put {FORMATS_TEXT} files into one folder for each class.")
    return files


def _checked_entries(archive: zipfile.ZipFile) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """Return the files of a zip that are not hidden, with their paths, after all checks that need no unpacking.

    Raises:
        ConfigError: as `read_folders`.
    """
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MAX_FILES:
        raise ConfigError(
            f"The zip holds {len(infos):,} files, and at most {MAX_FILES:,} are read; make a smaller one."
        )
    if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
        raise ConfigError(
            f"The zip would swell to more than {MAX_UNPACKED_BYTES // 2**20} MB; give fewer or smaller pictures."
        )
    entries = []
    for info in infos:
        path = PurePosixPath(_name_of(info).replace("\\", "/"))
        shown = printable(str(path))[:60]
        if path.is_absolute() or ".." in path.parts or ":" in str(path)[:3]:
            raise ConfigError(f"The zip holds a path that climbs out of it ({shown}); make it again from your folders.")
        if not path.parts or any(map(is_hidden, path.parts)):
            continue
        if info.flag_bits & _ENCRYPTED:
            raise ConfigError("The zip is protected by a password; make one without.")
        if info.file_size > MAX_BYTES:
            raise ConfigError(f"{shown} is larger than the {MAX_BYTES // 2**20} MB that are accepted; save it smaller.")
        entries.append((path, info))
    return entries


def _name_of(info: zipfile.ZipInfo) -> str:
    """Return the path of an entry. Where a zip does not say how it is encoded, it is read as UTF-8, as macOS writes.

    Raises:
        ConfigError: it is not UTF-8.
    """
    if info.flag_bits & _UTF8 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")  # zipfile read the bytes as code page 437
    except ValueError as error:
        raise ConfigError(
            "The names in the zip are in an unknown encoding; rename files and folders with plain letters, and make it "
            "again."
        ) from error


def _below_common_folders(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    """Return the paths without a folder around all of them, if it holds folders, and without folders of splits."""
    firsts = {path.parts[0] for path in paths}
    if len(firsts) == 1 and any(len(path.parts) > 2 for path in paths):
        paths = [PurePosixPath(*path.parts[1:]) for path in paths]
    folders = {path.parts[0] for path in paths if len(path.parts) > 1}
    if folders and all(split_of_folder(name) for name in folders) and all(len(path.parts) != 2 for path in paths):
        paths = [PurePosixPath(*path.parts[len(path.parts) > 1 :]) for path in paths]
    return paths


def _class_of(path: PurePosixPath) -> str:
    return path.parts[0] if len(path.parts) > 1 else ""
