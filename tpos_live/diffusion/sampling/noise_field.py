"""Motion: the noise of a frame as a pure function of seed, cut, trajectory position and pan.

The noise that a frame is drawn from must be white Gaussian noise at every moment (the model was trained with nothing
else), must move smoothly, and must move with the camera. All three hold exactly:

* Trajectory. The field is a sum of four neighbouring keyframes of independent white noise, with weights
  k(u) = (1 + cos(pi u / 2)) / sqrt(6) for |u| < 2, u the distance to a keyframe. Their squares sum to
  one for every position, so the sum is white, with unit variance; they have a continuous derivative, and
  the squares of the derivatives sum to a constant: the field moves at constant speed and no kink at a keyframe.
* Pan. A translation by any fraction of a latent pixel is a phase ramp on the field's Fourier
  coefficients (the shift theorem): it keeps each coefficient's power, so the noise stays white, where
  interpolation would blur it. Three coefficients of a real field are their own conjugates and cannot
  turn; they fade between two independent noises by cosine and sine instead, which is exact for whole
  pixels and white between them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import lru_cache

import numpy as np
import torch

from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.cuda.pinned_scalars import PinnedScalars
from tpos_live.diffusion.model.unet_inputs import pack

KEYFRAMES_PER_UNIT = 2.0
"""Keyframes along one unit of the trajectory: fields one unit apart correlate by 1/6, two units apart not at all."""
_SPAN = 4
_MASK = 2**64 - 1


def kernel(position: float) -> tuple[int, list[float]]:
    """The four keyframes around a position and their weights: (number of the first, weights)."""
    first = math.floor(position) - 1
    weights = [(1 + math.cos(math.pi / 2 * (position - first - n))) / math.sqrt(6) for n in range(_SPAN)]
    return first, weights


def _noise(seed: int, cut_index: int, stream: int, number: int, count: int) -> np.ndarray:
    """float32 [count] of standard normal noise that depends on the arguments alone."""
    key = np.array([(seed << 8 | stream) & _MASK, cut_index & _MASK], dtype=np.uint64)
    counter = np.array([0, 0, number & _MASK, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter)).standard_normal(count, np.float32)


@lru_cache(maxsize=64)
def few(seed: int, cut_index: int, stream: int, number: int, count: int) -> tuple[float, ...]:
    """`count` standard normal numbers that depend on the arguments alone. They are cached, because neighbouring frames
    use the same ones, and each new generator asks the system for entropy."""
    return tuple(_noise(seed, cut_index, stream, number, count).tolist())


class NoiseField:
    """White Gaussian noise [1, channels, height, width] that moves and pans. Belongs to one thread.

    The result depends on the arguments of `at` alone, not on earlier calls; keyframes are cached only for speed. On a
    card one graph launch makes it (see `GraphCache`).
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        stream: int = 0,
        device: torch.device | str = "cpu",
        packing: int = 1,
    ) -> None:
        """stream: fields of different streams are independent. device: where the field is made. packing: cells of the
        field along one side of a pixel of the noise, so that it moves by less than a pixel (see `unet_inputs.pack`)."""
        device = torch.device(device)
        packed = torch.empty(1, channels, height, width, device=device)
        channels, height, width = channels // packing**2, height * packing, width * packing
        self._shape = (channels, height, width)
        self._stream = stream
        self._cache: OrderedDict[tuple[int, int, int], torch.Tensor] = OrderedDict()
        self._shift = Shift(height, width, device)
        half = (channels, height, width // 2 + 1)
        self._keys: list[tuple[int, int, int] | None] = [None] * _SPAN
        self._spectra = torch.zeros(_SPAN, *half, dtype=torch.complex64, device=device)
        self._sum = torch.empty(half, dtype=torch.complex64, device=device)
        self._field = torch.empty(1, channels, height, width, device=device)
        self._packing, self._packed = packing, packed if packing > 1 else self._field
        # Weights, then the pan in pixels.
        self._scalars = PinnedScalars(_SPAN + 2, device=device, dtype=torch.complex64)
        self._graphs = GraphCache(device)

    def at(self, seed: int, cut_index: int, position: float, pan_x: float = 0.0, pan_y: float = 0.0) -> torch.Tensor:
        """The field at one moment: a buffer of this object, valid until the next call.

        position: on the noise trajectory; it and cut_index as of `FrameParams`. pan_x, pan_y: drift to the right and
        upwards, in frame widths and heights (see FrameParams).
        """
        first, weights = kernel(position * KEYFRAMES_PER_UNIT)
        numbers = [0.0] * _SPAN
        for number, weight in enumerate(weights, first):
            place = number % _SPAN  # a fixed place for each keyframe, so that only a new one is copied
            key = seed, cut_index, number
            numbers[place] = weight
            if self._keys[place] != key:
                self._spectra[place].copy_(self._keyframe(*key), non_blocking=True)
                self._keys[place] = key
        self._scalars.upload([*numbers, *self._shift.pixels(pan_x, pan_y)])
        self._graphs.run("field", self._make)
        return self._packed

    def _make(self) -> None:
        """The field from spectra and scalars: tensors only, as a captured graph needs."""
        numbers = self._scalars.on_device
        torch.mul(self._spectra[0], numbers[0], out=self._sum)
        for n in range(1, _SPAN):
            self._sum.addcmul_(self._spectra[n], numbers[n])
        x, y = numbers[_SPAN:].real
        self._shift.turn(self._sum, x, y)
        torch.fft.irfft2(self._sum, s=self._shape[1:], norm="ortho", out=self._field[0])
        if self._packing > 1:
            self._packed.copy_(pack(self._field, self._packing))

    def look_ahead(self) -> None:
        """Make the next keyframe of the trajectory while the card draws: it takes as long as a small frame."""
        known = [key for key in self._keys if key is not None]
        if known:
            seed, cut_index, newest = max(known, key=lambda key: key[2])
            self._keyframe(seed, cut_index, newest + 1)

    def _keyframe(self, seed: int, cut_index: int, number: int) -> torch.Tensor:
        """The spectrum of one keyframe, with a second noise as imaginary part of the bins that must be real."""
        key = (seed, cut_index, number)
        if (known := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            return known
        channels, height, width = self._shape
        count = channels * height * width
        values = torch.from_numpy(_noise(seed, cut_index, self._stream, number, count + 4 * channels))
        spectrum = torch.fft.rfft2(values[:count].reshape(self._shape), norm="ortho")
        spare = values[count:].reshape(channels, 4)
        for n, (row, column) in enumerate(self._shift.real_bins):
            spectrum[:, row, column] = torch.complex(spectrum[:, row, column].real, spare[:, n])
        # Pinned, so that the copy to a card is asynchronous; the cache keeps it alive until the card has read it.
        self._cache[key] = spectrum = spectrum.pin_memory() if self._field.is_cuda else spectrum
        while len(self._cache) > 4 * _SPAN:
            self._cache.popitem(last=False)
        return spectrum


class Shift:
    """Periodic translation of a real-valued field by any distance, on its half spectrum."""

    def __init__(self, height: int, width: int, device: torch.device | str = "cpu") -> None:
        self._size = height, width
        rows = torch.fft.fftfreq(height)
        columns = torch.fft.rfftfreq(width)
        rows_2d = rows[:, None].repeat(1, len(columns))
        columns_2d = columns[None].repeat(height, 1)
        self.real_bins: list[tuple[int, int]] = []
        if height % 2 == 0:
            self.real_bins.append((height // 2, 0))
        if width % 2 == 0:
            # The last column holds conjugate pairs: one of each pair turns left, the other right.
            columns_2d[rows < 0, -1] *= -1
            self.real_bins.append((0, width // 2))
            if height % 2 == 0:
                self.real_bins.append((height // 2, width // 2))
        self._angle_x, self._angle_y = ((side * (-2 * math.pi)).to(device) for side in (columns_2d, rows_2d))
        self._angle = torch.empty_like(self._angle_x)
        self._one = torch.ones_like(self._angle_x)
        self._ramp = torch.empty(rows_2d.shape, dtype=torch.complex64, device=device)

    def pixels(self, pan_x: float, pan_y: float) -> tuple[float, float]:
        """From a pan to the right and upwards, in widths and heights, to columns to the right and rows downwards."""
        height, width = self._size
        # The period is two sides of the field, because Nyquist terms repeat only after an even number of pixels.
        return math.fmod(pan_x, 2.0) * width, -math.fmod(pan_y, 2.0) * height

    def turn(self, spectrum: torch.Tensor, x: torch.Tensor | float, y: torch.Tensor | float) -> None:
        """Shift `spectrum` [channels, height, width // 2 + 1] in place by `pixels`."""
        torch.mul(self._angle_x, x, out=self._angle)
        self._angle.add_(self._angle_y * y)
        torch.polar(self._one, self._angle, out=self._ramp)
        spectrum.mul_(self._ramp)
        parts = torch.view_as_real(spectrum)
        for row, column in self.real_bins:
            parts[:, row, column, 1] = 0.0
