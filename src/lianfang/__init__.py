"""Lianfang (联防): joint cyber defence of a sector. One node per organisation; nodes form a mesh.

Five storeys, and the folder is the layer: ``site > rooms > commons > engines > kernel``.
"""

__version__ = "0.1.0"
