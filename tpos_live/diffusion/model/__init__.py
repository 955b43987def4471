"""An engine folder: its networks, metadata and schedule."""
