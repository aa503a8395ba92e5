"""Reading the files of a saved explainer, while others may be saving over it."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import torch

from fastexplain._version import __version__
from fastexplain.persistence._errors import LoadError, NoExplainerError
from fastexplain.persistence._fields import Fields
from fastexplain.persistence._files import CONFIG, SLOTS, digest_of, parsed
from fastexplain.persistence._save import FORMAT

__all__ = ["COPY_ANEW", "read_folder"]

COPY_ANEW = "Copy the folder anew, or fit and save again."
# bytes of a description; what is large lies among the weights
_LARGEST_CONFIG = 2**28
# looks at a folder that is being saved over, of which so many must find the same damage
_MOST_LOOKS, _SAME_LOOKS, _PAUSE = 200, 3, 0.01

Tensors = dict[str, torch.Tensor]


def read_folder(folder: Path) -> tuple[dict[str, Any], Tensors, Path]:
    """Read description and weights that belong together.

    No lock is taken: where the weights are not those that the description tells, it may have
    been replaced meanwhile, and both are read again.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    config : dict
        With digest and format checked, and the entry "weights" taken out.
    tensors : dict of tensors
    path : Path
        The file that they come from.

    Raises
    ------
    LoadError
        If a file is missing, damaged or of another format.
    """
    seen: list[Any] = []
    for _ in range(_MOST_LOOKS):
        text, config = _read_config(folder)
        entry = _weights_entry(folder, config)
        path = folder / entry["file"]
        content, why = _read_weights(path, entry)
        if content is not None:
            config.pop("weights")
            return config, _tensors(content, path), path
        seen.append((text, why, _identity(path)))
        if seen[-_SAME_LOOKS:] == [seen[-1]] * _SAME_LOOKS:
            break
        time.sleep(_PAUSE)
    if why == "is missing":
        raise NoExplainerError(folder, f"holds no saved explainer ({path.name} {why})", COPY_ANEW)
    raise LoadError(path, f"is damaged ({why})", COPY_ANEW)


def _read_config(folder: Path) -> tuple[bytes, dict[str, Any]]:
    path = folder / CONFIG
    try:
        content = _read_regular(path, _LARGEST_CONFIG)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoExplainerError(
            folder,
            f"holds no saved explainer ({CONFIG} is missing)",
            "Give the folder that explainer.save was given.",
        ) from error
    except (OSError, ValueError) as error:
        raise LoadError(path, f"cannot be read ({error})", COPY_ANEW) from error
    try:
        config = parsed(content)
    except ValueError as error:
        raise LoadError(path, f"is damaged ({error})", COPY_ANEW) from error
    if not {"format", "fastexplain", "explainer"} <= config.keys():
        raise LoadError(path, "is damaged (it describes no explainer)", COPY_ANEW)
    if config["format"] != FORMAT or type(config["format"]) is not int:
        raise LoadError(
            path,
            f"was written in format {config['format']!r:.40} by fastexplain "
            f"{config['fastexplain']!s:.40}; this is {__version__}, which reads format {FORMAT}",
            "Load it with that version, or fit and save again with this one.",
        )
    told, found = config.pop("digest", None), _digest(config)
    if found is None or told != found:
        raise LoadError(path, "is damaged (its digest is another)", COPY_ANEW)
    return content, config


def _digest(config: dict[str, Any]) -> str | None:
    """The digest; None of what is nested so deeply that it cannot be written."""
    try:
        return digest_of(config)
    except RecursionError:
        return None


def _weights_entry(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    try:
        fields = Fields(config.get("weights"), "weights")
        entry = {
            "file": fields.text("file", SLOTS),
            "sha256": fields.text("sha256"),
            "size": fields.whole("size", 8, 2**62),
        }
        fields.close()
    except ValueError as error:
        raise LoadError(folder / CONFIG, f"is damaged ({error})", COPY_ANEW) from error
    return entry


def _read_weights(path: Path, entry: dict[str, Any]) -> tuple[bytes | None, str]:
    """The bytes, or what is wrong with them."""
    try:
        content = _read_regular(path, entry["size"])
    except FileNotFoundError:
        return None, "is missing"
    except (OSError, ValueError) as error:
        return None, str(error)
    if len(content) != entry["size"]:
        return None, f"{len(content)} bytes, where {entry['size']} were written"
    if digest_of(content) != entry["sha256"]:
        return None, "its digest is another"
    return content, ""


def _read_regular(path: Path, most: int) -> bytes:
    """Bytes of a file, which is no device that never ends, and no longer than it may be."""
    # before it is opened: a pipe would wait for a writer
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise ValueError(f"it has more than {most} bytes")
        return file.read()


def _identity(path: Path) -> Any:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _tensors(content: bytes, path: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise LoadError(path, f"is damaged ({error})", COPY_ANEW) from error
