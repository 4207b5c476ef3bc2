from django.apps import AppConfig


class Lake(AppConfig):
    name = "lianfang.rooms.lake"
    label = "lake"
