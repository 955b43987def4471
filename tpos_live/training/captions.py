"""Words for pictures: phrases of each family, style, colour and mood, and a grammar over them."""

from __future__ import annotations

import random

PHRASES: dict[str, tuple[str, ...]] = {
    "fire": (
        "fire", "flames", "burning fire", "a campfire", "bonfire", "blazing flames", "embers and sparks",
        "an inferno", "a wall of fire", "hot flames rising", "burning", "wildfire", "torch flame",
        "candle flame", "lava", "a dragon's breath",
    ),
    "ocean": (
        "ocean", "the sea", "ocean waves", "sea at sunset", "breaking waves", "open water", "a stormy sea",
        "surf on a beach", "sun over the sea", "rolling waves", "the coast", "tides", "sailing at dusk",
        "seascape", "a lake at sunset", "beach",
    ),
    "underwater": (
        "jellyfish", "underwater", "a glowing jellyfish", "deep sea", "a jellyfish in the deep",
        "bioluminescent creatures", "medusa in dark water", "beneath the surface of the sea", "abyss",
        "a coral reef", "under the sea", "aquarium", "diving in the deep", "sea creature",
        "plankton glowing", "octopus",
    ),
    "ink_in_water": (
        "ink in water", "swirling ink", "clouds of ink", "marbled paint", "liquid paint",
        "dye unfolding in water", "fluid colours", "marble", "acrylic pour", "flowing paint",
        "abstract liquid", "smoke on white", "flowers", "petals", "feathers", "silk",
    ),
    "aurora": (
        "aurora", "northern lights", "aurora borealis", "polar lights", "green curtains of light",
        "arctic night sky", "lights over the snow", "southern lights", "the sky over iceland",
        "a dancing aurora", "winter night", "polar night", "ghost lights", "spirits in the sky",
        "a frozen lake under northern lights", "shimmering sky",
    ),
    "storm": (
        "storm", "lightning", "thunderstorm", "a bolt of lightning", "thunder and rain", "rain",
        "heavy rain", "dark clouds and lightning", "electric storm", "tempest", "thunder", "hurricane",
        "pouring rain", "lightning strikes", "monsoon", "electricity",
    ),
    "clouds": (
        "clouds", "sky", "a sea of clouds", "cumulus clouds", "above the clouds", "heaven", "cloudy sky",
        "white clouds in the sun", "fog", "mist", "flying through clouds", "a bright day", "fluffy clouds",
        "daylight", "dream", "morning sky",
    ),
    "mountains": (
        "mountains", "a mountain sunset", "misty mountains", "hills at dusk", "mountain range", "sunset",
        "sunrise", "peaks in haze", "the alps", "valley at dawn", "desert dunes", "canyon", "landscape",
        "forest hills", "golden hour", "volcano",
    ),
    "nebula": (
        "nebula", "space", "glowing gas in space", "cosmic clouds", "deep space", "a stellar nursery",
        "outer space", "cosmos", "interstellar dust", "universe", "space clouds and stars", "star birth",
        "cosmic dream", "supernova", "astral", "psychedelic",
    ),
    "galaxy": (
        "galaxy", "spiral galaxy", "the milky way", "andromeda", "a swirling galaxy", "stars", "starfield",
        "a vortex of stars", "black hole", "galactic core", "whirlpool of stars", "starry night",
        "spiral arms", "a distant galaxy", "vortex", "planets",
    ),
    "tunnel": (
        "tunnel", "a neon tunnel", "wormhole", "flying through a tunnel", "time tunnel", "warp speed",
        "vortex tunnel", "a glowing tube", "hyperspace", "portal", "techno tunnel", "light tunnel",
        "laser beams", "cyberspace", "kaleidoscope", "mandala",
    ),
    "city_at_night": (
        "city at night", "city lights", "skyline at night", "neon city", "downtown", "skyscrapers",
        "tokyo at night", "a wet street with neon lights", "cyberpunk city", "new york",
        "traffic lights at night", "urban night", "metropolis", "reflections of city lights",
        "buildings with lit windows", "night club",
    ),
}  # fmt: skip

HELD_OUT: dict[str, tuple[str, ...]] = {
    "fire": ("blaze", "combustion"),
    "ocean": ("marine horizon", "pacific"),
    "underwater": ("submarine world", "squid"),
    "ink_in_water": ("watery pigment", "fluid art"),
    "aurora": ("boreal glow", "polar sky"),
    "storm": ("thunderbolt", "downpour"),
    "clouds": ("cloudscape", "overcast"),
    "mountains": ("alpine ridge", "himalaya"),
    "nebula": ("space gas", "orion"),
    "galaxy": ("star spiral", "galaxies"),
    "tunnel": ("passage of light", "warp drive"),
    "city_at_night": ("cityscape", "manhattan"),
}  # fmt: skip
"""Never in a caption: they show whether the text encoder carries meaning to words it was not taught."""

COLOURS: dict[str, tuple[float, tuple[str, ...]]] = {
    # hue in OKLCH degrees, words
    "red": (25.0, ("red", "crimson", "scarlet", "blood red")),
    "orange": (55.0, ("orange", "amber", "copper")),
    "gold": (88.0, ("golden", "yellow", "gold")),
    "green": (148.0, ("green", "emerald", "lime")),
    "cyan": (200.0, ("cyan", "turquoise", "teal", "icy")),
    "blue": (255.0, ("blue", "azure", "sapphire")),
    "violet": (300.0, ("violet", "purple", "ultraviolet")),
    "pink": (350.0, ("pink", "magenta", "rose")),
}

STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "natural": ("",),
    "neon": ("neon", "neon lights", "glowing neon", "synthwave", "fluorescent"),
    "pastel": ("pastel", "soft pastel colours", "pale", "delicate pastel"),
    "monochrome": ("monochrome", "black and white", "greyscale", "noir", "silver"),
    "watercolour": ("watercolour", "watercolor painting", "painted on paper", "aquarelle"),
    "infrared": ("infrared", "thermal camera", "heat map", "false colour"),
}

MOOD_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("",),
    "dark": ("dark", "gloomy", "moody", "sombre", "shadowy"),
    "bright": ("bright", "radiant", "luminous", "happy"),
    "calm": ("calm", "peaceful", "gentle", "quiet", "soft"),
    "energetic": ("energetic", "intense", "wild", "powerful", "vivid"),
}
MOOD_PHRASES: dict[str, tuple[str, ...]] = {
    "dark": ("dark calm", "dark", "gloomy", "sad"),
    "bright": ("bright energetic", "bright", "happy", "joyful"),
    "calm": ("calm", "peaceful", "quiet", "relaxing"),
    "energetic": ("energetic", "aggressive", "intense", "exciting"),
}
"""What the sound may say of itself in audio tokens."""

_LEADS = ("", "", "", "a picture of ", "a view of ", "an image of ", "cinematic ", "a scene of ", "beautiful ")


def phrase(rng: random.Random, family: str) -> str:
    """One way to name a family; its plainest name a quarter of the time."""
    return PHRASES[family][0] if rng.random() < 0.25 else rng.choice(PHRASES[family])


def caption(rng: random.Random, family: str, style: str, mood: str, colour: str | None, second: str | None) -> str:
    """A caption for a picture; `second` is a family mixed in with equal share, `colour` a key of COLOURS."""
    scene = phrase(rng, family)
    if second is not None:
        scene += rng.choice((" and ", " with ", " meets ", ", ")) + phrase(rng, second)
    before: list[str] = []
    after: list[str] = []
    for word in (
        rng.choice(MOOD_WORDS[mood]),
        rng.choice(COLOURS[colour][1]) if colour else "",
        rng.choice(STYLE_WORDS[style]),
    ):
        if word:
            (before if rng.random() < 0.6 else after).append(word)
    if rng.random() < 0.3:
        rng.shuffle(before)
    text = " ".join([*before, scene])
    if not before:
        text = rng.choice(_LEADS) + text
    return ", ".join([text, *after])
