"""What may be known of a value by those who need the rest of the record: masks, keyed pseudonyms, cuts, digests, by rule.

In: batches of columns (or single texts), rules, and a key for each domain. Out: the same without what the rules hide, and what
would lead a pseudonym back for whoever may.
"""

from lianfang.engines.masking.keyed import FF1, Keyed
from lianfang.engines.masking.mails import DROPPED, Wish, desensitised
from lianfang.engines.masking.mails import Copy as MailCopy
from lianfang.engines.masking.methods import FORMS, KEPT, Form, Method, Verb, apply
from lianfang.engines.masking.ours import NUMBERS, Ours
from lianfang.engines.masking.packets import Rewriter
from lianfang.engines.masking.rules import Examine, Raw, Rule, To, Way, load, rule_of
from lianfang.engines.masking.shield import Shield, Shielded
from lianfang.engines.masking.texts import KINDS, Cover, cleared, covered

__all__ = ["DROPPED", "FF1", "FORMS", "KEPT", "KINDS", "NUMBERS", "Cover", "Examine", "Form", "Keyed", "MailCopy", "Method", "Ours", "Raw", "Rewriter", "Rule", "Shield", "Shielded", "To", "Verb", "Way", "Wish", "apply", "cleared", "covered", "desensitised", "load", "rule_of"]
