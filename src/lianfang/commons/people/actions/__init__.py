"""What can be done to organisations, users, roles, grants, keys and logins. Each action is one transaction with one ledger record."""

from lianfang.commons.people.actions.access import change_role, create_role, grant, remove_role, revoke
from lianfang.commons.people.actions.founding import found
from lianfang.commons.people.actions.keys import make_console_key, make_key, note_use, revoke_key
from lianfang.commons.people.actions.logins import begin_session, count_failure, drop_second_factor, end_session, forget_attempts, note_second_factor, set_password, wear
from lianfang.commons.people.actions.organisations import change_organisation, create_organisation, move_organisation, remove_organisation, rewrite
from lianfang.commons.people.actions.reaching import choose_reach, reach, send_notice
from lianfang.commons.people.actions.sealing import forget_key, keyring, reseal, retire_key, rotate_key, seal, start_resealing
from lianfang.commons.people.actions.texts import sealed_texts
from lianfang.commons.people.actions.users import activate, change_profile, change_user, create_user, deactivate, reset_password

__all__ = [
    "activate",
    "begin_session",
    "change_organisation",
    "change_profile",
    "change_role",
    "change_user",
    "choose_reach",
    "count_failure",
    "create_organisation",
    "create_role",
    "create_user",
    "deactivate",
    "drop_second_factor",
    "end_session",
    "forget_attempts",
    "forget_key",
    "found",
    "grant",
    "keyring",
    "make_console_key",
    "make_key",
    "move_organisation",
    "note_second_factor",
    "note_use",
    "reach",
    "remove_organisation",
    "remove_role",
    "reseal",
    "reset_password",
    "retire_key",
    "revoke",
    "revoke_key",
    "rewrite",
    "rotate_key",
    "seal",
    "sealed_texts",
    "send_notice",
    "set_password",
    "start_resealing",
    "wear",
]
