"""English words that name no subject of a prompt, but say how its subjects stand to each other."""

from __future__ import annotations

SMALL_WORDS = frozenset([
    "a", "an", "the", "and", "or", "of", "in", "on", "at", "over", "under", "with", "without", "to", "from", "into",
    "by", "for", "is", "are", "very", "some", "my", "your", "its", "it", "this", "that", "picture", "view", "image",
    "scene", "photo", "photograph", "cinematic", "beautiful", "through", "behind", "above", "below", "between",
    "like", "as", "made", "out", "off", "up", "down", "near", "inside", "around", "while", "where", "during", "full",
    "be", "are", "we", "i", "you", "he", "she", "they", "his", "her", "their", "our", "no", "not", "many", "more",
])  # fmt: skip

PREPOSITIONS = frozenset([
    "in", "on", "at", "over", "under", "into", "above", "below", "behind", "through", "beneath", "near",
])  # fmt: skip
"""Words behind which a prompt says where or when its subject is."""

JOINTS = frozenset(["and", "with", "meets", "&", "+"])
"""Words between two subjects."""
