"""The verbs of standards: elements and policies through their versions, uses by columns, rules, measuring, and the end of life."""

from lianfang.kernel import lazy

__getattr__, __all__ = lazy.door(
    __name__,
    {
        "elements": "ELEMENTS take_starter",
        "uses": "choose_element confirm_suggested refuse_use suggest_uses",
        "quality": "change_rule create_rule make_basic_rules remove_rule switch_rule",
        "measuring": "measure start_measuring",
        "policies": "POLICIES take_policies",
        "life": "approve_deed ask_deed carry_out conclude_destroyed conclude_restored refuse_deed",
    },
)
