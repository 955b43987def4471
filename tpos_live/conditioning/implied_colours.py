"""Colours that words imply: where an engine cannot draw a subject, it at least uses the subject's usual colour."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

_WORDS = {
    "red": "blood ruby rose roses cherry cherries tomato lobster ketchup ferrari devil vampire santa love heart "
    "hearts dragon mars strawberry strawberries poppy poppies ladybug wine brick rage carnival",
    "orange": "pumpkin pumpkins fox foxes tiger tigers halloween carrot mango peach autumn rust lion lions tangerine "
    "papaya brick sausage",
    "gold": "banana bananas lemon lemons sunny sunflower sunflowers smiley emoji bee bees wheat treasure crown buddha "
    "pharaoh pyramid pyramids egypt egyptian brass trumpet saxophone champagne beer whisky canary duck butter "
    "king queen cheese pineapple steampunk clockwork taxi coins",
    "green": "acid matrix slime toxic alien aliens frog frogs crocodile lizard snake snakes cactus bamboo grass leaf "
    "leaves moss avocado emerald zombie zombies absinthe cannabis weed meadow turtle ivy goblin orc mint tea "
    "shamrock ireland",
    "cyan": "ice iceberg frost glacier mint swimming pool bioluminescent hologram diamond diamonds arctic polar robot "
    "robots android cyborg tron angel",
    "blue": "whale whales dolphin dolphins shark sharks police denim jeans sapphire blueberry blueberries winter "
    "smurf bird viking pirate ship",
    "violet": "grape grapes lavender plum wizard witch magic magical mystic occult techno rave amethyst dream dreams "
    "psychedelic aubergine eggplant iris lilac",
    "pink": "blossom blossoms sakura flamingo flamingos bubblegum barbie candy candyfloss unicorn unicorns pig pigs "
    "lips kiss ballet ballerina vaporwave valentine donut milkshake cupcake kawaii princess panther geisha "
    "lotus",
}
"""Words by the colour that they usually have in images; for a word under two colours the first colour counts."""
_COLOUR_OF = {word: colour for colour, words in reversed(_WORDS.items()) for word in words.split()}
_PHRASES = {("cherry", "blossom"): "pink", ("cherry", "blossoms"): "pink", ("tiger", "lily"): "orange"}
"""Pairs of words that imply another colour than their first word alone."""


def implied_colour(words: Sequence[str], known: Collection[str]) -> str:
    """The colour that `words` (lower case) imply, the first of those in `known`; "" where they imply none."""
    named = (*map(_PHRASES.get, pairwise(words)), *map(_COLOUR_OF.get, words))
    return next((name for name in named if name and name in known), "")
