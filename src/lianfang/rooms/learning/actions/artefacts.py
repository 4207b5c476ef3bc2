"""Artefacts of models: kept as bytes under their digest, recognised by their content, never unpickled or run.

In: bytes, and the form that the sender names. Out: digest and size. Four forms are taken, each of which is data and nothing else: JSON, NumPy
archives without objects, ONNX, safetensors. A pickle is a program, whatever it is called, and is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.utils.translation import gettext

from lianfang.kernel.errors import Invalid
from lianfang.rooms.learning import queries
from lianfang.rooms.learning.types import Form

MOST_JSON = 16 << 20
MOST_HEADER = 100 << 20
ARRAYS = 10_000


def keep(chunks: Iterable[bytes], form: str) -> tuple[str, int]:
    """The bytes under their digest, durable, readable by the node alone: digest and size. Raises ``Invalid`` for what is not what it is called."""
    if form not in Form:
        raise Invalid(gettext("“%s” is no form of artefact") % form[:20], todo=gettext("Take one of %s.") % ", ".join(Form.values), details={"form": [gettext("unknown")]})
    folder = Path(settings.HOME) / "models"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".draft-")
    draft = Path(name)
    try:
        digest, size = _written(handle, chunks)
        if why := sniffed(draft, form, size):
            raise Invalid(gettext("This is no %s") % Form(form).label, why=why, todo="Write the model in one of the four forms; a pickle runs code when it is read and is never taken.", details={"file": [why]})
        target = queries.artefact_place(digest)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        if not target.exists():
            draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return digest, size


def _written(handle: int, chunks: Iterable[bytes]) -> tuple[str, int]:
    digest, size, most = hashlib.sha256(), 0, queries.limit()
    with os.fdopen(handle, "wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise Invalid("The artefact is too large", why=gettext("At most %d MB are taken.") % (most >> 20), todo="Have the operator raise LIANFANG_MODEL_MB.", details={"file": [gettext("too large")]})
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if not size:
        raise Invalid("The file is empty", todo="Choose another one.", details={"file": [gettext("empty")]})
    return digest.hexdigest(), size


def sniffed(path: Path, form: str, size: int) -> str:
    """Why a file is not what it is called; empty when it is."""
    return _LOOKS[form](path, size)


def _json(path: Path, size: int) -> str:
    if size > MOST_JSON:
        return gettext("JSON is taken up to %d MB.") % (MOST_JSON >> 20)
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return str(error)[:200]
    return ""


def _npz(path: Path, _size: int) -> str:
    """Every member is an array of numbers or text; one of objects would be a pickle inside."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not names or len(names) > ARRAYS:
                return gettext("It holds no arrays, or too many.")
            for name in names:
                if not name.endswith(".npy"):
                    return gettext("“%s” in it is no array.") % name[:80]
                with archive.open(name) as member:
                    if _header(io.BytesIO(member.read(1 << 16))).hasobject:
                        return gettext("“%s” in it holds objects, which is a pickle.") % name[:80]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError) as error:
        return str(error)[:200]
    return ""


def _header(file: io.BytesIO) -> np.dtype[Any]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)[2]


def _safetensors(path: Path, size: int) -> str:
    """Eight bytes of length, a JSON header that says where each tensor lies, and the tensors, without a gap to their end."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MOST_HEADER, size - 8):
            return gettext("Its header does not fit into it.")
        try:
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"] for name, tensor in header.items() if name != "__metadata__"]
            whole = max((int(end) for _begin, end in ends), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return gettext("Its header cannot be read.")
    return "" if 8 + length + whole == size else gettext("It is not as long as its header says.")


def _onnx(path: Path, size: int) -> str:
    """A protocol buffer with the fields of a ``ModelProto``: a version of the form (1) and a graph (7), and no field that it does not have."""
    at, seen = 0, set[int]()
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(20)
            tag, used = _varint(head, 0)
            field, wire = tag >> 3, tag & 7
            if used == 0 or not (1 <= field <= 26) or wire not in (0, 2):
                return gettext("It is not built as a model of ONNX.")
            value, used = _varint(head, used)
            if used == 0:
                return gettext("It is not built as a model of ONNX.")
            seen.add(field)
            at += used + (value if wire == 2 else 0)
    return "" if at == size and {1, 7} <= seen else gettext("It lacks the graph of a model.")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends; 0 where there is none."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    return 0, 0


_LOOKS: Mapping[str, Callable[[Path, int], str]] = {Form.JSON: _json, Form.NPZ: _npz, Form.ONNX: _onnx, Form.SAFETENSORS: _safetensors}
