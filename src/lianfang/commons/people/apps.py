from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class People(AppConfig):
    name = "lianfang.commons.people"
    label = "people"
    verbose_name = _("people")

    def ready(self) -> None:
        from lianfang.commons.people import declare, handlers  # noqa: F401  (listens to logins)

        declare.sealed("people", _sealed)


def _sealed() -> object:
    from lianfang.commons.people.actions.sealed import kinds

    return kinds()
