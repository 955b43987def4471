"""The classifier of scene families."""
