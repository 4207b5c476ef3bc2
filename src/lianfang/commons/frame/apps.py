from django.apps import AppConfig


class Frame(AppConfig):
    name = "lianfang.commons.frame"
    label = "frame"
