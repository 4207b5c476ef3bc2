"""Pages: declare one, and it has an address, a place in the navigation, a guard and breadcrumbs.

In: functions decorated with ``page``, ``panel`` and ``finder``; routers from ``api``. Out: Django addresses, the shell
around every page, and answers in the language of who asks (HTML for people, problem JSON for machines).

    @page("sources/<uuid:pk>/", name="source", permission="lake.source.view", title=_("Source"), parent="sources")
    def source(request, pk):
        return show(request, "lake/source.html", {"source": queries.source(pk, request.viewer)})
"""

from lianfang.commons.frame.pages import parts
from lianfang.commons.frame.pages.answers import asked_after, download, invalid, saying, show, spoken, unchanged
from lianfang.commons.frame.pages.doors import Body, File, Header, Path, Query, Response, Schema, UploadedFile, api, endpoints, urlpatterns
from lianfang.commons.frame.pages.registry import SECTIONS, Corner, Found, Nav, Page, finder, forget_since, mark, page, panel, plug, registered
from lianfang.commons.frame.pages.tongue import said, sayable, told

__all__ = [
    "SECTIONS", "Body", "Corner", "File", "Found", "Header", "Nav", "Page", "Path", "Query", "Response", "Schema", "UploadedFile",
    "api", "asked_after", "download", "endpoints", "finder", "forget_since", "invalid", "mark", "page", "panel", "parts", "plug", "registered", "said", "sayable", "saying", "show", "spoken", "told", "unchanged", "urlpatterns",
]  # fmt: skip
