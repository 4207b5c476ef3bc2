from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class Intel(AppConfig):
    name = "lianfang.rooms.intel"
    label = "intel"

    def ready(self) -> None:
        from lianfang.commons.people import declare

        declare.sealed("intel", _sealed)


def _sealed() -> object:
    from lianfang.commons.people import actions
    from lianfang.rooms.intel import models
    from lianfang.rooms.intel.actions.feeding import PURPOSE
    from lianfang.rooms.intel.actions.submitting import CONTACT

    loss = _("They have to be typed again; until then these APIs are asked without them.")
    gone = _("They are gone; reporters still read answers by their link.")
    return [
        actions.sealed_texts("intel.feed_secret", _("secrets of outside APIs"), loss, models.Feed.objects.all, "sealed", purpose=PURPOSE, forget=lambda rows: rows.update(sealed="")),
        actions.sealed_texts("intel.contact", _("contacts of reporters"), gone, models.Submission.objects.all, "contact", purpose=CONTACT, forget=lambda rows: rows.update(contact="")),
    ]
