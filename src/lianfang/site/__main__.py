"""``python -m lianfang.site`` is ``lianfang``: what the supervisor starts, whatever the PATH says."""

from lianfang.site.cli import main

main()
