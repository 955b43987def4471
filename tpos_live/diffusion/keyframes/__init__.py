"""Keyframes: the UNet draws a few, and what lies between two of them is decoded from moved latents."""
