from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class Jobs(AppConfig):
    name = "lianfang.commons.jobs"
    label = "jobs"
    verbose_name = _("Jobs")
