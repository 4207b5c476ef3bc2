"""The verbs of learning: declare data sets and trainings, make and remove versions, take them away, register models and switch them."""

from lianfang.kernel import lazy

__getattr__, __all__ = lazy.door(
    __name__,
    {
        "sets": "change_set create_set remove_set",
        "making": "ask_version forget_copies forget_expired make_version remove_version",
        "taking": "ask_approval take",
        "artefacts": "keep sniffed",
        "registry": "approve_model register_model retire_model take_model use_model",
        "trainings": "change_training create_training remove_training train train_now",
        "grading": "learn_grading",
        "pacing": "start_due",
    },
)
