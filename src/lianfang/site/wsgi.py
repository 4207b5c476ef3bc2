"""The web door: a WSGI application (sync views; ASGI costs a quarter to two thirds of the throughput, see stack notes)."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")
application = get_wsgi_application()
