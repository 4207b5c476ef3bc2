"""What people see of people: the entrance, their account, the lists, the tree, the matrix.

``urlpatterns`` is the entrance (log in, log out, password, second factor), to be mounted at ``/account/`` under the
names that allauth knows; everything else is declared to ``frame.pages`` and ``frame.sheets``.
"""

from lianfang.commons.frame import pages as frame
from lianfang.commons.people.pages import access, account, corner, entrance, lists, panels, sealing, tree

urlpatterns = entrance.urlpatterns

frame.plug(organisation=corner.organisation, landing=corner.landing, speak=corner.speak)

__all__ = ["access", "account", "corner", "entrance", "lists", "panels", "sealing", "tree", "urlpatterns"]
