"""Passwords and tokens of sources and destinations at rest: the database holds them sealed under the node's key, which lies outside it.

In: what a person typed. Out: what the database keeps, and the secret again for whoever reads from the other side.
"""

from __future__ import annotations

from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import queries as people
from lianfang.kernel.errors import Conflict, Fault
from lianfang.rooms.lake import models

PURPOSE = "lianfang source secret"
REPORTING = "lianfang destination secret"
LONGEST = 1000


def seal(secret: str, *, purpose: str = PURPOSE) -> str:
    """What the database keeps; "" for none. The key is made when first needed; a lost one is not replaced unseen: raises ``Conflict``."""
    return people_actions.seal(secret, purpose=purpose) if secret else ""


def unseal(row: models.Source | models.Destination) -> str:
    """The secret of a source or destination, "" when it has none. Raises ``Conflict`` when the node's key does not open it."""
    if not row.sealed:
        return ""
    try:
        return people.keyring().open(row.sealed, purpose=REPORTING if isinstance(row, models.Destination) else PURPOSE)
    except Fault as fault:
        raise _locked() from fault


def make_key() -> None:
    """See that the node has its sealing key. Raises ``Conflict`` while it is lost."""
    people_actions.keyring()


def _locked() -> Conflict:
    return Conflict("This secret cannot be read on this node", why="It is sealed under a key that is not the one in keys/sealing.key.", todo="Restore that file from a backup, or type the secret again.")
