"""Sockets that listen for syslog, each in threads of its own.

In: an address and ``put``. Out: frames, in groups. Closing waits for what is in hand.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from lianfang.rooms.lake.adapters.syslog.framing import Fault, Framer
from lianfang.rooms.lake.types import Busy

log = logging.getLogger(__name__)

Put = Callable[[Sequence[bytes], Sequence[Fault]], object]

BUFFER = 8 << 20
GROUP = 1000
LINGER = 0.05
MOST_CONNECTIONS = 200
HANDSHAKE = 10.0
"""Seconds for a whole TLS handshake, however it is sent."""
WHOLE_WITHIN = 120.0
"""Seconds in which a message that was begun must be whole."""
QUIET = 5.0
"""Seconds after which a quiet connection may be closed for a new one, when all places are taken."""
SO_RXQ_OVFL = 40
"""Linux: tell with each datagram how many the kernel dropped so far."""


class Udp:
    """One UDP port. ``dropped`` counts what was lost here or in the kernel, since the start."""

    def __init__(self, host: str, port: int, put: Put):
        self.put, self.dropped = put, 0
        self._kernel = 0
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self._socket.bind((host, port))
        self._socket.settimeout(LINGER)
        self.port = int(self._socket.getsockname()[1])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"udp-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, hand over what was read."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        group: list[bytes] = []
        since = monotonic()
        while not self._stop.is_set():
            try:
                data, extra, _, _ = self._socket.recvmsg(65535, 32)
                if not group:
                    since = monotonic()
                group.append(data.rstrip(b"\r\n\0"))
                self._count(extra)
            except TimeoutError:
                pass
            except OSError:
                log.exception("reading from UDP port %d failed", self.port)
                self._stop.wait(0.2)
            if group and (len(group) >= GROUP or monotonic() - since >= LINGER):
                self._hand_over(group)
                group = []
        self._hand_over(group)

    def _hand_over(self, group: list[bytes]) -> None:
        if not group:
            return
        try:
            self.put(group, ())
        except Busy:
            self.dropped += len(group)
        except Exception:
            self.dropped += len(group)
            log.exception("%d datagrams of port %d were lost", len(group), self.port)

    def _count(self, extra: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL and len(data) >= 4:
                (total,) = struct.unpack("I", data[:4])
                self.dropped += (total - self._kernel) & 0xFFFFFFFF
                self._kernel = total


class _Connection:
    """One sender's stream. ``heard`` is when the last byte came, ``begun`` when the message in hand began."""

    def __init__(self, stream: socket.socket):
        self.stream, self.framer = stream, Framer()
        self.heard = self.begun = monotonic()

    @property
    def is_late(self) -> bool:
        """A message was begun long ago and is still not whole."""
        return self.framer.waits and monotonic() - self.begun > WHOLE_WITHIN


class Tcp:
    """One TCP port; a thread per connection, at most ``MOST_CONNECTIONS``. While the node is busy nothing is read, and nothing is lost.

    Who opens connections and sends nothing, or a byte now and then, takes nobody's place: a message must be whole within
    ``WHOLE_WITHIN`` seconds, and when all places are taken the connection that was quiet longest is closed.
    """

    def __init__(self, host: str, port: int, put: Put):
        self.put, self.dropped = put, 0
        self._socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128)
        self._socket.settimeout(0.2)
        self.port = int(self._socket.getsockname()[1])
        self._stop = threading.Event()
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._threads: set[threading.Thread] = set()
        self._open: set[_Connection] = set()
        self._thread = threading.Thread(target=self._accept, name=f"tcp-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting and reading; what was read is handed over."""
        self._stop.set()
        self._thread.join()
        self._socket.close()
        for thread in list(self._threads):
            thread.join(2.0)

    def _accept(self) -> None:
        while not self._stop.is_set():
            if not self._room.acquire(timeout=0.2):
                self._make_room()
                continue
            try:
                stream, _ = self._socket.accept()
            except (TimeoutError, OSError):
                self._room.release()
                continue
            thread = threading.Thread(target=self._serve, args=(stream,), daemon=True)
            self._threads.add(thread)
            thread.start()

    def _make_room(self) -> None:
        """Close the connection that was quiet longest, if it was quiet at all; what it began to say is kept."""
        quiet = min(list(self._open), key=lambda one: one.heard, default=None)
        if quiet is not None and monotonic() - quiet.heard > QUIET:
            with contextlib.suppress(OSError):
                quiet.stream.shutdown(socket.SHUT_RDWR)

    def _secured(self, stream: socket.socket) -> socket.socket:
        """The stream as it is read; raises ``OSError`` for a sender that is not let in."""
        return stream

    def _serve(self, stream: socket.socket) -> None:
        try:
            connection = _Connection(self._secured(stream))
            self._open.add(connection)
            try:
                self._listen(connection)
            finally:
                self._open.discard(connection)
                self._put(*connection.framer.end())
                connection.stream.close()
        except OSError as error:
            log.debug("a connection to port %d ended: %s", self.port, error)
        finally:
            stream.close()
            self._room.release()
            self._threads.discard(threading.current_thread())

    def _listen(self, connection: _Connection) -> None:
        connection.stream.settimeout(0.5)
        while not self._stop.is_set() and not connection.is_late:
            try:
                data = connection.stream.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                break
            connection.heard = monotonic()
            if not connection.framer.waits:
                connection.begun = connection.heard
            frames, faults = connection.framer.feed(data)
            self._put(frames, faults)
            if frames:  # time that the node itself was busy is not the sender's
                connection.begun = monotonic()

    def _put(self, frames: list[bytes], faults: list[Fault]) -> None:
        while frames or faults:
            try:
                self.put(frames, faults)
                return
            except Busy as busy:
                if self._stop.wait(busy.retry_after / 4):
                    log.warning("stopping while busy: %d messages that were read from TCP port %d are lost", len(frames), self.port)
                    return
            except Exception:
                self.dropped += len(frames)
                log.exception("%d messages of TCP port %d were lost", len(frames), self.port)
                return


class Tls(Tcp):
    """As ``Tcp``, over TLS (RFC 5425). A handshake runs in its connection's own thread and must end within ``HANDSHAKE`` seconds."""

    def __init__(self, host: str, port: int, put: Put, context: ssl.SSLContext):
        self._context = context
        super().__init__(host, port, put)

    def _secured(self, stream: socket.socket) -> socket.socket:
        secured = self._context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False)
        try:
            secured.settimeout(HANDSHAKE)  # for all of it: CPython counts one deadline over the handshake's reads
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured
