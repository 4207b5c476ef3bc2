"""One folder per outside system that logs come from."""
