"""Procedural scene families, drawn from noise: Ember's training data, and a source of images (`scene:NAME`)."""
