"""One folder per outside system that detect works with."""
