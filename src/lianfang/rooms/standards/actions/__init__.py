"""The verbs of standards: elements through their versions, uses by columns, rules, and measuring."""

from lianfang.kernel import lazy

__getattr__, __all__ = lazy.door(
    __name__,
    {
        "elements": "approve_element change_element create_element new_version remove_element retire_element return_element submit_element take_starter",
        "uses": "choose_element confirm_suggested refuse_use suggest_uses",
        "quality": "change_rule create_rule make_basic_rules remove_rule switch_rule",
        "measuring": "measure start_measuring",
        "policies": "approve_policy change_policy create_policy next_policy remove_policy submit_policy take_policies",
        "life": "approve_deed ask_deed carry_out conclude_destroyed conclude_restored refuse_deed",
    },
)
