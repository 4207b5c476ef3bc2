"""The verbs of detect: install packs, switch rules, examine batches, explain, look back, forget."""

from lianfang.rooms.detect.actions.erasing import forget_source
from lianfang.rooms.detect.actions.installing import install_kept, install_pack, install_upload, keep_upload, remove_pack
from lianfang.rooms.detect.actions.looking import WATCHLIST, hunt, look_back
from lianfang.rooms.detect.actions.storing import store
from lianfang.rooms.detect.actions.switching import disable, enable, switch
from lianfang.rooms.detect.actions.testing import test_pack
from lianfang.rooms.detect.queries.explaining import explain

__all__ = ["WATCHLIST", "disable", "enable", "explain", "forget_source", "hunt", "install_kept", "install_pack", "install_upload", "keep_upload", "look_back", "remove_pack", "store", "switch", "test_pack"]
