"""Pure libraries: no Django, no database, no network. Each could be published alone."""
