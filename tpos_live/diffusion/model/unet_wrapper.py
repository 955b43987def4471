"""Base of modules around a UNet that derive further inputs of it from latent and tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class UnetWrapper(torch.nn.Module, ABC):
    """Has the interface (sample, timestep, tokens), so backends, guidance and conversion work as with a plain UNet.

    unet: the UNet of diffusers.
    """

    def __init__(self, unet: torch.nn.Module) -> None:
        super().__init__()
        self.unet = unet

    @abstractmethod
    def inputs(self, sample: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, dict[str, object]]:
        """The sample for the inner UNet, and its keyword arguments, including `encoder_hidden_states`.

        sample: [B, C, h, w]. tokens: [B, rows, dim].
        """

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        """The prediction [B, C, h, w] in a tuple of length 1, whatever `return_dict` is. timestep: [B] or one
        number."""
        sample, named = self.inputs(sample, encoder_hidden_states)
        found: tuple[torch.Tensor] = self.unet(sample, timestep, return_dict=False, **named)
        return found
