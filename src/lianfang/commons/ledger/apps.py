from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class Ledger(AppConfig):
    name = "lianfang.commons.ledger"
    label = "ledger"
    verbose_name = _("Ledger")

    def ready(self) -> None:
        from lianfang.commons.frame import journal
        from lianfang.commons.ledger import actions

        journal.plug(actions.record)
