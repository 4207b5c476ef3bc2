"""Where one syslog message ends in a stream: octet counting or line feeds, told apart message by message (RFC 6587 §3.4).

In: pieces of a stream as they come. Out: whole messages, and faults for what was too long to be one.
"""

from __future__ import annotations

LONGEST = 1 << 20
COUNT_DIGITS = 7
KEPT = 4096

Fault = tuple[bytes, str, str]


class Framer:
    """Cuts one connection's stream into messages. Memory is bounded by ``longest``, whatever is sent.

    >>> framer = Framer()
    >>> framer.feed(b"5 <1>ab<2>cd\\n<3>e")
    ([b'<1>ab', b'<2>cd'], [])
    >>> framer.end()
    ([b'<3>e'], [])
    """

    def __init__(self, *, longest: int = LONGEST):
        self.longest = longest
        self._rest = bytearray()
        self._skip_count = 0
        self._skip_line = False

    def feed(self, data: bytes) -> tuple[list[bytes], list[Fault]]:
        """The messages that are whole now."""
        self._rest += data
        frames: list[bytes] = []
        faults: list[Fault] = []
        at = 0
        while at < len(self._rest):
            step = self._skip(at) or self._counted(at, frames, faults) or self._line(at, frames, faults)
            if not step:
                break
            at += step
        del self._rest[:at]
        return frames, faults

    @property
    def waits(self) -> bool:
        """Whether a message has begun and is not whole yet."""
        return bool(self._rest or self._skip_count or self._skip_line)

    def end(self) -> tuple[list[bytes], list[Fault]]:
        """The connection is closed: what is left is a last message without its end."""
        left, self._rest = bytes(self._rest).strip(b"\r\n\0"), bytearray()
        if self._skip_count or self._skip_line or not left:
            return [], []
        return [left], []

    def _skip(self, at: int) -> int:
        """Throw away the rest of a message that was too long."""
        waiting = len(self._rest) - at
        if self._skip_count:
            step = min(self._skip_count, waiting)
            self._skip_count -= step
            return step
        if self._skip_line:
            end = self._rest.find(b"\n", at)
            self._skip_line = end < 0
            return waiting if end < 0 else end - at + 1
        return 0

    def _counted(self, at: int, frames: list[bytes], faults: list[Fault]) -> int:
        """``MSG-LEN SP MSG``: only when the digits are followed by a space and the start of a message."""
        if not 0x31 <= self._rest[at] <= 0x39:
            return 0
        space = self._rest.find(b" ", at, at + COUNT_DIGITS + 1)
        if space < 0 or not self._rest[at:space].isdigit():
            return 0
        length, begin = int(self._rest[at:space]), space + 1
        if length > self.longest:
            faults.append((bytes(self._rest[begin : begin + KEPT]), f"Too large: {length:,} bytes announced, the limit is {self.longest:,}", "Split the message at the sender."))
            self._skip_count = length
            return begin - at
        if len(self._rest) - begin < length:
            return 0
        frames.append(bytes(self._rest[begin : begin + length]).rstrip(b"\r\n\0"))
        return begin + length - at

    def _line(self, at: int, frames: list[bytes], faults: list[Fault]) -> int:
        if self._may_be_count(at):
            return 0
        end = self._rest.find(b"\n", at)
        if end >= 0:
            line = bytes(self._rest[at:end]).strip(b"\r\0")
            if line:
                frames.append(line)
            return end - at + 1
        if len(self._rest) - at > self.longest:
            faults.append((bytes(self._rest[at : at + KEPT]), f"Too large: a line longer than {self.longest:,} bytes", "Check that messages are separated by line feeds."))
            self._skip_line = True
            return len(self._rest) - at
        return 0

    def _may_be_count(self, at: int) -> bool:
        """Digits that may still become a count, or a counted message that is not whole yet."""
        if not 0x31 <= self._rest[at] <= 0x39:
            return False
        head = bytes(self._rest[at : at + COUNT_DIGITS + 1])
        digits, space, _ = head.partition(b" ")
        if space:
            return digits.isdigit()
        return head.isdigit() and len(head) <= COUNT_DIGITS and len(self._rest) - at <= COUNT_DIGITS
