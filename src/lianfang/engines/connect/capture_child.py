"""The child that becomes the program which reads a capture: first everything it could do harm with is taken away.

In: memory and processor seconds and bytes of a file it may use, its folder, then the program and its arguments. Standard
library only; runs as ``python -I``. Dissectors parse what strangers send: whoever breaks one finds itself as nobody, without
a network, in an empty folder, with no way to more rights.
"""

import ctypes
import os
import resource
import sys
from contextlib import suppress

NO_NEW_PRIVILEGES = 38
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
NOBODY = 65534


def main() -> None:
    """Never returns: the process is another program afterwards."""
    memory, seconds, size, folder, *program = sys.argv[1:]
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, size), (resource.RLIMIT_NOFILE, "256"), (resource.RLIMIT_CORE, "0")):
        with suppress(ValueError, OSError):  # the machine's own limit is lower
            resource.setrlimit(kind, (int(most), int(most)))
    os.chdir(folder)
    system = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        system.unshare(NEW_NETWORK)
        with suppress(OSError):  # a container in which there is nobody else
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    else:
        system.unshare(NEW_USER | NEW_NETWORK)  # refused where the machine forbids it: the other limits remain
    system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
