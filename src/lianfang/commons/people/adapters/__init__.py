"""Outside systems that people speaks to."""
