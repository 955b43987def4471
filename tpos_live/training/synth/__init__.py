"""Synthetic audio for training and tests: sound effects, music and the bundled demo track."""
