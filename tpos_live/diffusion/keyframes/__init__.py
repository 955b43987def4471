"""Keyframes: the UNet draws a few latents, and frames between two of them are decoded from interpolated latents."""
