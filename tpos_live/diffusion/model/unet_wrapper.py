"""A module around a UNet that finds more in its latent and tokens than the UNet itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class UnetWrapper(torch.nn.Module, ABC):
    """Called as a UNet of (sample, timestep, tokens): backends, guidance and conversion need not know what is inside.

    unet: the UNet of diffusers.
    """

    def __init__(self, unet: torch.nn.Module) -> None:
        super().__init__()
        self.unet = unet

    @abstractmethod
    def inputs(self, sample: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, dict[str, object]]:
        """The UNet's own sample, and what it is given by name, `encoder_hidden_states` among it.

        sample: [B, C, h, w]. tokens: [B, rows, dim].
        """

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        """The prediction [B, C, h, w], as a tuple of one, whatever `return_dict` says. timestep: [B] or one number."""
        sample, named = self.inputs(sample, encoder_hidden_states)
        found: tuple[torch.Tensor] = self.unet(sample, timestep, return_dict=False, **named)
        return found
