"""Captions, synonyms, and the text encoder."""
