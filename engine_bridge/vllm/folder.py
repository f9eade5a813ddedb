"""The folder that an export for vLLM is, as its scheduler and `discover doctor` check it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
POLICY = "policy.py"
MANIFEST = "manifest.json"
AGAIN = "export the candidate again: discover export CANDIDATE DIR --to ENGINE"


class BrokenFolder(ValueError):
    """A folder is no export, or not as it was exported; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says: hashes of the files by name, and whatever else the exporter wrote."""

    files: dict[str, str]
    facts: dict[str, Any]


def check_folder(folder: Path) -> Manifest:
    """The manifest of an exported folder of which every file is as it was.

    Raises:
        BrokenFolder: a file is missing, changed or cannot be read.
    """
    manifest = read_manifest(folder)
    for name, known in manifest.files.items():
        try:
            found = digest((folder / name).read_bytes())
        except OSError as error:
            raise BrokenFolder(f"'{folder / name}' cannot be read ({error.strerror}); {AGAIN}") from None
        if found != known:
            raise BrokenFolder(f"'{folder / name}' has been changed since it was exported; {AGAIN}")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What the manifest of an exported folder says; the files are not looked at.

    Raises:
        BrokenFolder: there is none, or it is not one that we can read.
    """
    path = folder / MANIFEST
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): str(known) for name, known in facts["files"].items()}
        version = facts["format"]
    except OSError as error:
        raise BrokenFolder(f"'{folder}' is no exported policy: {MANIFEST}: {error.strerror}; {AGAIN}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BrokenFolder(f"'{path}' is no manifest of an exported policy; {AGAIN}") from None
    if version != FORMAT or POLICY not in files:
        raise BrokenFolder(f"'{path}' has format {version!r}, not {FORMAT}, or no {POLICY}; {AGAIN}")
    return Manifest(files, {name: value for name, value in facts.items() if name not in ("files", "format")})


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
