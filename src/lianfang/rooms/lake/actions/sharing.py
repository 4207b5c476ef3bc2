"""A copy of a capture that may be shared: addresses by a rule of desensitising, nothing of what was said.

In: a file of a request and a rule. Out: a temporary file with the copy, and a record in the ledger. The capture itself is kept nowhere.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import PurePath
from typing import IO, ClassVar

from lianfang.commons.ledger import actions as ledger
from lianfang.engines.masking import Keyed, Rewriter
from lianfang.kernel.errors import Invalid
from lianfang.kernel.ids import new_id
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import queries
from lianfang.rooms.lake.actions import masking, sources
from lianfang.rooms.lake.actions.uploading import Sent
from lianfang.rooms.lake.queries import shielding

MOST_CAPTURE = 128 << 20


@dataclass(frozen=True, slots=True)
class Shared:
    """The copy, at its beginning; a name for it; how many packets it has; and whether the capture could be read to its end."""

    file: IO[bytes]
    name: str
    packets: int
    whole: bool
    KIND: ClassVar[str] = "application/vnd.tcpdump.pcap"

    @property
    def headers(self) -> dict[str, str]:
        """What a program is told of it."""
        return {"X-Capture-Whole": "yes" if self.whole else "no", "X-Capture-Packets": str(self.packets)}


def share_capture(sent: Sent | None, rule: str, *, actor: Viewer) -> Shared:
    """A copy of a capture for others: addresses as ``rule`` (of ``queries.address_rules``) says, nothing behind the transport headers. What was made is on the ledger; the caller closes the file.

    Raises ``Invalid`` for no file, for what is no capture, is too large, or cannot be rewritten, ``Missing`` for no such rule.
    """
    actor.must("lake.event.export")
    if sent is None:
        raise Invalid("There is no file", todo="Choose a capture (.pcap, .pcapng).", details={"file": ["choose one"]})
    if (sent.size or 0) > MOST_CAPTURE:
        raise Invalid("The capture is too large", why=f"At most {MOST_CAPTURE >> 20} MiB are rewritten at once.", todo="Split it (editcap -c 1000000) and send the parts.")
    chosen = queries.address_rule(rule, viewer=actor)
    masking.make_keys()
    keyed, made, told = Keyed(shielding.secret(chosen.domain)), tempfile.TemporaryFile(), hashlib.sha256()  # noqa: SIM115 - the caller sends it, and closes it

    def stand_in(address: str) -> str:
        return address if address in chosen.spare else chosen.method.hide([address], keyed)[0] or str(ip_address(bytes(len(ip_address(address).packed))))

    rewriter = Rewriter(stand_in, shielding.secret(f"{chosen.domain} hardware"))
    try:
        for piece in rewriter.run(sent):
            told.update(piece)
            made.write(piece)
    except BaseException:
        made.close()
        raise
    made.seek(0)
    place = sources.owner(actor)
    detail = {"rule": chosen.name, "packets": rewriter.packets, "whole": rewriter.whole, "left_out": rewriter.left_out, "sha256": told.hexdigest()}
    ledger.record("lake.capture_shared", Ref("lake", "capture", str(new_id())), actor=actor, label=(sent.name or "")[-80:], detail=detail, territory=place["territory"], industry=place["industry"])
    name = PurePath((sent.name or "capture.pcap").replace("\\", "/"))
    return Shared(made, f"{name.stem[:60]}-shared{'' if rewriter.whole else '-incomplete'}{name.suffix[:8]}", rewriter.packets, rewriter.whole)
