from django.apps import AppConfig


class Standards(AppConfig):
    name = "lianfang.rooms.standards"
    label = "standards"
