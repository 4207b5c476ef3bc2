from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class Intel(AppConfig):
    name = "lianfang.rooms.intel"
    label = "intel"

    def ready(self) -> None:
        from lianfang.commons.people import declare

        declare.sealed("intel", _sealed)


def _sealed() -> object:
    from lianfang.commons.people import declare
    from lianfang.rooms.intel import models
    from lianfang.rooms.intel.actions.feeding import PURPOSE

    loss = _("They have to be typed again; until then these APIs are asked without them.")
    return [declare.texts("intel.feed_secret", _("secrets of outside APIs"), loss, models.Feed.objects.all, "sealed", purpose=PURPOSE, forget=lambda rows: rows.update(sealed=""))]
