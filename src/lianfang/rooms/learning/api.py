"""For programs: a version of a data set as Arrow or Parquet, its manifest, models from outside and back again. Scope, masks, limits as everywhere."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from lianfang.commons.frame.pages import Query, Response, Schema, api, download
from lianfang.engines.masking import To
from lianfang.rooms.learning import actions, models, queries

router = api("learning")


class Taken(Schema):
    """``form``: arrow (an IPC stream) or parquet."""

    form: Literal["arrow", "parquet"] = "arrow"


@router.get("/versions/{pk}/rows", summary="A version of a data set as Arrow or Parquet", operation_id="learning_version_rows", tags=["learning.version"])
def rows(request: HttpRequest, pk: UUID, asked: Query[Taken]) -> StreamingHttpResponse:
    """Rows of your scope, content above your clearance null, no row of a level that leaves only with approval (``X-Rows-Left-Out`` says how many). What was taken is on record."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("learning.version.view")
    taken = actions.take(models.Version.objects.select_related("dataset").fetch(pk, viewer), asked.form, to=To.API, actor=viewer)
    return StreamingHttpResponse(taken.pieces, content_type=taken.kind, headers={queries.LEFT_OUT: str(taken.left_out)})


@router.get("/versions/{pk}/manifest", summary="What a version of a data set holds", operation_id="learning_version_manifest", tags=["learning.version"])
def manifest(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    """Columns with type and level, digest of the copy as it lies, period, question, the versions of the tables it was read from."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("learning.version.view")
    return queries.described(models.Version.objects.select_related("dataset").fetch(pk, viewer))


@router.post("/models/upload", summary="Register a model that was trained elsewhere (multipart, field “file”)", operation_id="learning_model_upload", tags=["learning.model"])
def upload(request: HttpRequest) -> HttpResponse:
    """201 with the registered version, which is proposed. Fields: ``name``, ``kind``, ``form`` (json, npz, onnx, safetensors), ``metrics`` and ``parameters`` (JSON), ``metric`` (the one that decides),
    ``version`` (identifier of the data-set version that it was trained on), ``note``. The artefact is kept as bytes and never run."""
    row = actions.register_model(request.POST.dict(), request.FILES.get("file"), actor=request.viewer)  # type: ignore[attr-defined]
    return Response({"id": str(row.pk), "name": row.name, "version": row.number, "sha256": row.digest, "bytes": row.bytes, "state": row.state}, status=201)


@router.get("/models/{pk}/artefact", summary="The artefact of a model, as it was registered", operation_id="learning_model_artefact", tags=["learning.model"])
def artefact(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Its bytes; that they were taken is on record."""
    viewer = request.viewer  # type: ignore[attr-defined]
    viewer.must("learning.model.view")
    row = models.Model.objects.fetch(pk, viewer)
    return download(actions.take_model(row, actor=viewer), f"{row.name}-v{row.number}.{row.form}", "application/octet-stream", {"X-Content-Type-Options": "nosniff"})
