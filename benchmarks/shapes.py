"""Writes an engine folder with SD-Turbo's layer sizes and random weights, for measurements of speed.

    python benchmarks/shapes.py FOLDER [--tiny]

It has the UNet of Stable Diffusion 2.1 (866 million weights), TAESD as decoder, and a text encoder with the true width
but one layer, because texts are encoded outside of the frame loop. 1.8 GB in half precision. --tiny: the smallest
engine that can be compiled, to try a measurement.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(folder: Path, tiny: bool = False) -> None:
    import torch
    from diffusers import AutoencoderTiny, UNet2DConditionModel

    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from fakes.tiny_engine import make_least_engine, make_tiny_engine
    from transformers import CLIPTextConfig, CLIPTextModel

    if tiny:
        make_least_engine(folder)
        return
    make_tiny_engine(
        folder,
        "sd-turbo",
        metadata={"name": "SD-Turbo shape, random weights", "trained_with_sound": False, "guidance": False},
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        ).half()
        vae = AutoencoderTiny().half()
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    tokens = len(json.loads((folder / "tokenizer" / "vocab.json").read_text()))
    config = CLIPTextConfig(
        vocab_size=tokens, hidden_size=1024, intermediate_size=4096, num_hidden_layers=1, num_attention_heads=16,
        bos_token_id=tokens - 2, eos_token_id=tokens - 1, pad_token_id=tokens - 1,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--tiny"]):
        raise SystemExit("usage: python benchmarks/shapes.py FOLDER [--tiny]")
    main(Path(sys.argv[1]), bool(sys.argv[2:]))
