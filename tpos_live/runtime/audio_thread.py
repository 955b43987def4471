"""The audio processor: audio to FrameParams and AudioEmbeddings, on a thread of its own or step by step offline."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tpos_live.audio.source import AudioSource, Chunk, SourceState
from tpos_live.audio_encoder.protocol import AudioEmbedding, AudioEncoder
from tpos_live.audio_encoder.tagger import Tagger
from tpos_live.control.beat_source import BeatSource
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.guard import Guard
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.timing import StageTimes
from tpos_live.director.director import Director
from tpos_live.director.memory import DirectorMemory
from tpos_live.director.scene_choice import UNKNOWN, Abilities
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.features.features import HOP_SECONDS, Features
from tpos_live.modulation.integrator import ModulationIntegrator

log = logging.getLogger(__name__)

PIECE = 2400
"""Samples that are processed at once, 50 ms: features first, which are needed soonest, then the encoder."""
LABEL_LAG = 0.1
"""Seconds after which the director gets the label of a sound. By then it is known for every size of chunk."""


class AudioProcessor:
    """Processes chunks of audio and publishes the results.

    Thread contract: one thread calls `process`; `params`, `frame_params`, `embedding` and `features` hold the newest
    records and may be read from anywhere, and `tagger.name` too; another thread may replace
    `director.abilities`, and read `director.memory`. Nothing depends on the size of the chunks.
    """

    def __init__(
        self,
        encoder: AudioEncoder,
        delay: Callable[[], float] = lambda: 0.0,
        beat_source: BeatSource | None = None,
        abilities: Abilities = UNKNOWN,
    ) -> None:
        """delay: seconds from sound in the room to light on the screen; called for each chunk.
        beat_source: clocks of other programs, None for none. abilities: of the engine."""
        self.encoder = encoder
        self.delay = delay
        self.frame_params: Mailbox[FrameParams] = Mailbox()
        self.params = FrameParams()
        """The newest of `frame_params`; before any sound, the values at which the motion begins."""
        self.embedding: Mailbox[AudioEmbedding] = Mailbox()
        self.features = Features()
        self.tagger = Tagger(encoder)
        self.beat_source = beat_source or BeatSource()
        self.director = Director(abilities)
        self._extractor = FeatureExtractor()
        self._integrator = ModulationIntegrator()
        self._labels: deque[tuple[float, str]] = deque()
        self._label = ""
        self.times = StageTimes(("analysis", "encoder"))

    def resume(self, motion: Mapping[str, Any], directed: DirectorMemory, snapshot: Snapshot) -> None:
        """Continue an earlier show. motion: integrated fields of FrameParams. directed: the director's decisions. Call
        it before the first chunk."""
        self.director.resume(directed, snapshot)
        self.params = replace(self.params, **motion)
        for name, value in motion.items():
            setattr(self._integrator, name, value)

    def process(self, chunk: Chunk, snapshot: Snapshot) -> None:
        """Process one chunk; publishes FrameParams for its newest hop and the newest embedding."""
        for first in range(0, len(chunk.mono), PIECE):
            self._process(chunk.mono[first : first + PIECE], chunk.captured_at, snapshot)

    def _process(self, mono: np.ndarray, captured_at: float, snapshot: Snapshot) -> None:
        begin = time.perf_counter()
        heard = self._extractor.push(mono, snapshot)
        for n, features in enumerate(heard):
            heard[n] = self.beat_source.step(features, captured_at - (len(heard) - 1 - n) * HOP_SECONDS, snapshot)
        params, delay = None, self.delay() if heard else 0.0
        for features in heard:
            while self._labels and self._labels[0][0] <= features.time - LABEL_LAG:
                self._label = self._labels.popleft()[1]
            direction = self.director.step(features, self._label, snapshot)
            params = self._integrator.step(features, snapshot, captured_at, delay, direction)
        if params is not None:
            self.features, self.params = heard[-1], params
            self.frame_params.put(params)
        middle = time.perf_counter()
        embeddings = self.encoder.push(mono)
        if embeddings:
            self.embedding.put(embeddings[-1])
            for embedding in embeddings:
                self._labels.append((embedding.time, self.tagger.follow(embedding)))
        if heard:
            hops = len(heard)
            self.times.add("analysis", (middle - begin) / hops)
            self.times.add("encoder", (time.perf_counter() - middle) / hops)


class AudioThread(OwnThread):
    """Opens a live source and runs an AudioProcessor on it until it is left, or a file has ended.

    A context manager: entering returns at once, because a device may take seconds to open. Thread contract: the thread
    owns the source from opening to closing; `sinks` are called on it and must not block; `opened` and `ended` are set
    when the source is open and at its end; `error` holds the reason if it cannot be opened.
    """

    PERIOD = 0.005
    """Seconds between two reads of the source: half a hop, so that no hop waits long."""

    def __init__(
        self,
        sound: AudioSource,
        audio_processor: AudioProcessor,
        store: ParameterStore,
        sinks: Mapping[str, Callable[[Chunk], None]] = MappingProxyType({}),
    ) -> None:
        """sinks: functions that get each chunk of sound, by their names in log lines. An error in one is logged, and
        does not affect the others."""
        super().__init__("audio", patience=1.0)
        self._sound = sound
        self._audio_processor = audio_processor
        self._store = store
        self._sinks = [(Guard(log, name), sink) for name, sink in sinks.items()]
        self._guard = Guard(log, "the sound analysis")
        self.opened = threading.Event()
        self.ended = threading.Event()
        self.error: Exception | None = None

    def _run(self) -> None:
        try:
            with self._sound:
                self.opened.set()
                self._listen()
        except Exception as error:
            self.error = error

    def _listen(self) -> None:
        while not self._stop.is_set():
            now = time.perf_counter()
            with self._guard:
                chunk = self._sound.pull(now)
                if chunk is not None and len(chunk.mono):
                    for guard, sink in self._sinks:
                        with guard:
                            sink(chunk)
                    self._audio_processor.process(chunk, self._store.snapshot())
                elif self._sound.status(now).state is SourceState.ENDED:
                    self.ended.set()
                    return
            self._stop.wait(self.PERIOD)
