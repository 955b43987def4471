"""Frames to light: interpolation, post-processing, the window, recordings."""
