"""Frame owns how things look and feel: pages, sheets, panels, navigation, the design system.

In: declarations from rooms (a ``Sheet``, a page, a panel, a navigation entry). Out: HTML, CSV, XLSX, JSON, OpenAPI.
It knows no other room; what it must tell upwards (a row was changed) goes through the port in ``journal``.
"""
