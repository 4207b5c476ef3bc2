"""The registry's questions: which model is in use, how its metrics went over versions, where an artefact lies.

In: a model, or whose. Out: rows, and paths of files that are given out as bytes and never opened here as anything else.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from django.conf import settings

from lianfang.kernel.errors import Conflict, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.learning import models
from lianfang.rooms.learning.types import Stand

MEGABYTES = 512
SHOWN = 60


def limit() -> int:
    """Bytes that one artefact may have (``LIANFANG_MODEL_MB``)."""
    return int(os.environ.get("LIANFANG_MODEL_MB") or MEGABYTES) << 20


def artefact_place(digest: str) -> Path:
    """Where an artefact lies: in ``models`` of the node's home, under its digest."""
    return Path(settings.HOME) / "models" / digest[:2] / digest


def artefact(model: models.Model) -> Path:
    """The file of a model, checked against its digest. Raises ``Missing`` or ``Conflict``."""
    path = artefact_place(model.digest)
    if not path.is_file():
        raise Missing("The artefact is not there", why=str(model), todo="Bring the folder “models” back from the backup.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != model.digest:
        raise Conflict("The artefact is damaged", why=f"The SHA-256 of {model} is another.", todo="Bring it back from the backup.")
    return path


def in_use(organisation: str, *, learner: str) -> models.Model | None:
    """The model of a learner that an organisation has in use."""
    return models.Model.objects.filter(organisation=organisation, learner=learner, state=Stand.USED).first()


def history(model: models.Model, *, viewer: Viewer) -> list[models.Model]:
    """The versions of a model's name in its organisation, oldest first, the newest sixty."""
    rows = models.Model.objects.seen_by(viewer).filter(organisation=model.organisation, name=model.name).select_related("taught__dataset").order_by("-number")[:SHOWN]
    return list(rows)[::-1]
