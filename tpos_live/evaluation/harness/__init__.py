"""Generates and measures many images on all cores."""
