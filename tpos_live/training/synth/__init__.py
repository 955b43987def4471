"""Synthesised sound: effects, music, the bundled track."""
