"""The verbs of detect: install packs, switch rules, examine batches, look back, forget."""

from lianfang.kernel import lazy

__getattr__, __all__ = lazy.door(
    __name__,
    {
        "erasing": "forget_source",
        "installing": "install_kept install_pack install_upload keep_upload remove_pack",
        "looking": "WATCHLIST hunt look_back",
        "storing": "store",
        "switching": "disable enable switch",
        "testing": "test_pack",
    },
)
