"""What an engine understands of a prompt: matches its words to the phrases that the engine was trained on.

An engine that was trained on a known set of subjects lists them in `vocabulary.json` beside its weights: phrases of
every family, colour, style and mood. Other words are mapped to the nearest phrase in the space of the engine's own
sentence vectors. The prompt report lists words without a near phrase, so that nobody waits for their effect.
`rewritten` gives the prompt in words that the engine knows. A prompt that is far from all families is drawn as the
nearest bright and clear family, in the colours that it names or implies (`implied_colours.py`).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from tpos_live.conditioning.implied_colours import implied_colour
from tpos_live.conditioning.prompt_match import (
    NEAR,
    PromptMatch,
    SpanMatch,
    is_of_one_thing,
    joined_by_and,
    subjects_of,
    without_overlap,
)
from tpos_live.conditioning.scene_scores import SceneScore, SceneScores, Sentences, best, read_learned, unit_vectors
from tpos_live.conditioning.vocabulary_file import ALSO, CLEAR, KINDS, VOCABULARY_FILE, read_phrases
from tpos_live.conditioning.words import (
    SMALL_WORDS,
    Spelling,
    plain_letters,
    plain_words,
    spelled_out,
    whole_words,
    without_syntax,
)

log = logging.getLogger(__name__)

NAMED = 0.72
"""Cosine from which words name a family in a prompt that is far from all families as a whole. With 0.65, 33 of 146
prompts without a scene get one by a word such as "stage" or "time", with 0.72 only 20; of 334 prompts with a scene, 2
more get none."""
SURE = 0.8
"""Cosine from which words name a second family."""
WRITTEN = 0.9
"""Cosine from which a word counts as written out."""
LISTED, SUBJECT = 0.7, 0.7
"""Bonus on the score of a family that is written out, and a second bonus where that is before the first preposition."""
CONFIDENT = 0.8
"""Classifier probability from which a family counts as understood in a prompt that is far from all phrases."""
GUESS = 0.3
"""Classifier probability from which a family is drawn although it is not a bright and clear one."""
_BRIGHT = "bright"
"""Mood that is added to dim and substituted families where the prompt names no mood."""
MOST_WORDS = 24
"""Words that are analysed: more than any engine here reads."""
LONGEST = 3
"""Words in the longest phrase that is searched for, unless `also` has a longer one."""


class Vocabulary:
    """The phrases of an engine and their vectors. Immutable except for a locked cache: any thread may call it."""

    def __init__(
        self,
        phrases: Mapping[str, Mapping[str, Sequence[str]]],
        sentences: Sentences,
        written: Collection[str] = (),
        learned: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Encodes all phrases: tens of milliseconds.

        phrases: the content of VOCABULARY_FILE. Without CLEAR, all families are bright and clear. Words of ALSO match
        by their spelling alone, because the encoder places rare words badly. The engine was not trained with them, so a
        prompt with them is rewritten. Typing errors are not corrected to them, because they are too many. written:
        words that are never corrected, see `Spelling`. learned: see `SceneScores`."""
        clear = phrases.get(CLEAR, {}).get("family", ())
        self._clear = frozenset(name for name in phrases["family"] if name in clear) or frozenset(phrases["family"])
        self._colours = frozenset(phrases.get("colour", ()))
        self._moods = frozenset(phrases.get("mood", ()))
        self._sentences = sentences
        rows = [(kind, name, text) for kind in KINDS for name, texts in phrases.get(kind, {}).items() for text in texts]
        self._entries = [(kind, name) for kind, name, _ in rows]
        self._rows: dict[str, list[int]] = {}
        for at, (kind, name) in enumerate(self._entries):
            if kind == "family":
                self._rows.setdefault(name, []).append(at)
        taught = {plain_letters(text): at for at, (_, _, text) in reversed(list(enumerate(rows)))}
        self._vectors = unit_vectors(self._sentences, [text for _, _, text in rows])
        self._scores = SceneScores(self._rows, learned or {}, self._vectors.shape[1])
        self._longest_first = sorted(filter(None, taught), key=len, reverse=True)
        self._plainest = {name: plain_letters(texts[0]) for name, texts in phrases["family"].items() if texts}
        named = [(plain_letters(text), taught[self._plainest[name]]) for name, texts in phrases.get(ALSO, {}).items()
                 if name in self._plainest for text in texts]  # fmt: skip
        self._exact = dict(named) | taught
        self._longest = max(LONGEST, *(len(text.split()) for text, _ in named)) if named else LONGEST
        names = {word for text, _ in named for word in text.split()}
        self._spelling = Spelling(taught, names.union(written) if written else ())
        # The text encoder's thread and the prompt report's thread ask for the same prompt at the same time.
        self._matches, self._matching = lru_cache(maxsize=64)(self._match_anew), threading.Lock()

    def match(self, prompt: str) -> PromptMatch:
        """What the engine understands of `prompt`, any text of any length."""
        with self._matching:
            return self._matches(prompt)

    def _match_anew(self, prompt: str) -> PromptMatch:
        prompt = spelled_out(prompt)
        words = prompt.split(maxsplit=MOST_WORDS)
        cut = len(words) > MOST_WORDS
        words = words[:MOST_WORDS]
        bare = [self._spelling(plain_letters(word).strip(".,;:!?\"'()[]{}")) for word in words]
        known = [bool(re.search(r"[a-z]", word)) for word in bare]
        if not any(known):
            return self._match_unreadable(words, cut)
        spans = [
            (start, end)
            for start in range(len(words))
            for end in range(start + 1, min(start + self._longest, len(words)) + 1)
            if self._listed(" ".join(bare[start:end])) is not None
            or (end - start <= LONGEST and all(known[start:end]) and not SMALL_WORDS.issuperset(bare[start:end]))
        ]
        whole = " ".join(word for word, is_known in zip(bare, known, strict=True) if is_known)
        texts = [whole, *(" ".join(bare[start:end]) for start, end in spans)]
        vectors = unit_vectors(self._sentences, texts)
        cosines = vectors @ self._vectors.T
        for row, text in enumerate(texts):
            if (entry := self._listed(text)) is not None:
                cosines[row, entry] = 1.0 + 1e-3  # an exact phrase wins over a similar one
        matches = without_overlap(spans, cosines[1:], self._entries)
        if [match.kind for match in matches].count("family") > 1:
            matches = [at for at in matches if not is_of_one_thing(bare[at.start : at.end])]
        named: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
        for match in matches:
            named[match.kind][match.name] = max(match.near, named[match.kind].get(match.name, 0.0))
        plain = plain_words(prompt)
        taught = self._is_taught(plain)
        fit = self._scores(whole, vectors[0], cosines[0])
        families, instead = self._families(matches, named["family"], bare, "" if taught else plain, cosines[0], fit)
        if not taught:
            if not named["colour"] and (colour := implied_colour(bare, self._colours)):
                named["colour"] = {colour: 1.0}
            if _BRIGHT in self._moods and not named["mood"] and (instead or families[0] not in self._clear):
                named["mood"] = {_BRIGHT: 1.0}
        drawn = {("family", name) for name in families} | {(kind, name) for kind in KINDS[1:] for name in named[kind]}
        covered = {at for match in matches if (match.kind, match.name) in drawn for at in range(match.start, match.end)}
        missed = [
            words[at].strip(".,;:!?\"'()[]{}") or words[at]
            for at in range(len(words))
            if at not in covered and bare[at] not in SMALL_WORDS and re.search(r"\w", bare[at])
        ]
        others = [name.replace("_", " ") for kind in KINDS[1:] for name in named[kind]]
        near = min(float(cosines[0, self._rows[families[0]]].max()), 1.0)
        # A family that the whole prompt leads to, and no word alone, is the first.
        backwards = sorted(matches, key=lambda match: -match.start)
        places = {match.name: match.start for match in backwards if match.kind == "family"}
        in_order = tuple(sorted(families, key=lambda name: places.get(name, -1)))
        return PromptMatch(families, tuple(others), near, tuple(dict.fromkeys(missed)), cut, instead, taught, in_order)

    def _match_unreadable(self, words: list[str], cut: bool) -> PromptMatch:
        """The match of a prompt without Latin letters. The text encoder has no tokens for it and would give a dim
        image, so a bright and clear family is drawn instead."""
        missed = tuple(dict.fromkeys(words))
        if not re.search(r"\w", " ".join(words)):
            return PromptMatch(missed=missed, cut=cut)
        vector = unit_vectors(self._sentences, [" ".join(words)])[0]
        cosines = self._vectors @ vector
        family = best(self._scores("", vector, cosines).scores, self._clear)
        near = min(float(cosines[self._rows[family]].max()), 1.0)
        return PromptMatch(
            (family,), (_BRIGHT,) if _BRIGHT in self._moods else (), near, missed, cut, True, False, (family,)
        )

    def rewrite(self, prompt: str) -> str:
        """The prompt in words that the engine knows: `a hearth in neon` becomes `neon fire`.

        A prompt of known words stays unchanged, except that emoji become words. A second scene is kept where its
        plainest name is written out, or where an `and` joins two scenes that are written out. A word that is only
        similar to a scene's does not add a second scene.
        """
        match = self.match(prompt)
        if not match.families or match.taught:
            return spelled_out(prompt)
        return " ".join((*match.others, " and ".join(self._plainest[name] for name in match.in_order)))

    def _listed(self, text: str) -> int | None:
        """The index of the entry for words that are listed, in the singular or in the plural; None for others."""
        forms = (text, text.removesuffix("s"), text.removesuffix("es"))
        return next((self._exact[form] for form in forms if form in self._exact), None)

    def _is_taught(self, plain: str) -> bool:
        """Whether `plain` consists of known phrases and small words only."""
        for text in self._longest_first:
            if text in plain:
                plain = re.sub(rf"\b{re.escape(text)}\b", " ", plain)
        return all(word in SMALL_WORDS for word in plain.split())

    def _families(
        self,
        matches: Sequence[SpanMatch],
        named: Mapping[str, float],
        bare: Sequence[str],
        plain: str,
        cosines: torch.Tensor,
        fit: SceneScore,
    ) -> tuple[tuple[str, ...], bool]:
        """The families to draw, and whether they are a substitute for a prompt that is far from all families.

        First the family that fits the whole prompt best, then others that its words name. named: by family, the highest
        cosine of a match. bare: the prompt's words. plain: the same as one text where the prompt is rewritten, else "".
        cosines, fit: of the whole prompt.
        """
        written = [match for match in matches if match.kind == "family" and match.near >= WRITTEN]
        listed = {match.name for match in written}
        subjects = subjects_of(written, bare)
        scores = dict(fit.scores)
        for name in listed:
            scores[name] += LISTED
        for name in subjects:
            scores[name] += SUBJECT
        nearest, entry = cosines.max(0)
        kind, name = self._entries[int(entry)]
        first = name if kind == "family" and nearest > 1.0 else best(scores, self._plainest)
        families = (first, *(name for name, near in named.items() if near >= SURE and name != first))
        if not plain:
            return families, False
        certainty = 1.0 if first in subjects else fit.likely[first]
        near = float(cosines[self._rows[first]].max())
        by_near = sorted(named, key=named.__getitem__, reverse=True)
        clear = [name for name in by_near if name in self._clear and named[name] >= NAMED]
        if near < NEAR and not listed and not clear and certainty < CONFIDENT:
            return (first if certainty >= GUESS else best(scores, self._clear),), True
        if first in listed:  # only another family that is written out may replace one that is
            clear = [name for name in clear if name in listed]
        if clear and first not in self._clear and certainty < GUESS:
            first = clear[0]
        corrected = " ".join(map(self._spelling, plain.split()))
        joined = joined_by_and(written, bare) | {name for name in self._plainest if self._is_named(name, corrected)}
        kept = [name for name in (*families, *filter(listed.__contains__, by_near)) if name != first and name in joined]
        # Two scenes share the brightness of an image: with two dim scenes, the second is invisible.
        kept = [name for name in kept if first in self._clear or name in self._clear]
        return tuple(dict.fromkeys((first, *kept))), False

    def _is_named(self, family: str, plain: str) -> bool:
        return any(re.search(rf"\b{re.escape(n)}\b", plain) for n in (self._plainest[family], family.replace("_", " ")))


def rewritten(prompt: str, vocabulary: Vocabulary | None) -> str:
    """The text to encode for a prompt: without other programs' syntax, and in words that the engine was trained with.

    vocabulary: the engine's, None where it has none. Logs each change at level DEBUG."""
    text = without_syntax(prompt).text
    if vocabulary is not None:
        text = vocabulary.rewrite(text)
    if text != prompt:
        log.debug("prompt %r is rewritten as %r", prompt, text)
    return text


def load_vocabulary(folder: Path, sentences: Sentences) -> Vocabulary | None:
    """The vocabulary of an engine folder; None where it is missing, or damaged, which is logged.

    sentences: the engine's encoder of sentence vectors.
    """
    phrases = read_phrases(folder)
    if phrases is None:
        if (folder / VOCABULARY_FILE).exists():
            what = "damaged, so prompts are drawn as they are written, and nothing says what is understood"
            log.warning(f"{folder / VOCABULARY_FILE}: {what}; fetch or install the engine again")
        return None
    return Vocabulary(phrases, sentences, whole_words(folder), read_learned(folder))
