"""Frames to the screen: interpolation, post-processing, the window, recordings."""
