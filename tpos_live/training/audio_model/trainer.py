"""The training loop of the audio encoder, for `tpos-live train encoder`.

Truncated back-propagation through time over endless streams: gradients reach back one batch. The training starts from a
pretrained backbone where there is one.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from tpos_live.audio_encoder.checkpoint import text_hash
from tpos_live.audio_encoder.streaming import Layout
from tpos_live.core.atomic import atomic_write, write_text
from tpos_live.training.audio_model.clips import Clip
from tpos_live.training.audio_model.losses import Texts, Weights, own_losses, paper_losses
from tpos_live.training.audio_model.net import EncoderNet, prefix_hops
from tpos_live.training.audio_model.pretrain import PARTS as BACKBONE_PARTS
from tpos_live.training.audio_model.pretrain import load_backbone
from tpos_live.training.audio_model.stream_dataset import Batch, Streams
from tpos_live.training.precision import trains_in_bfloat16

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


@dataclass(frozen=True)
class EncoderPlan:
    """rows: streams in a batch, even. hops: length of a batch, in hops. rate: peak learning rate; learned: share of it
    for a pretrained backbone, 0 freezes it; average: decay of the running mean of the weights, which is exported;
    decay: weight decay; save: seconds between checkpoints."""

    rows: int = 12
    hops: int = 240
    rate: float = 6e-3
    learned: float = 0.0
    average: float = 0.99
    decay: float = 0.1
    weights: Weights = field(default_factory=Weights)
    save: float = 60.0


class Sentences:
    """An engine's text encoder: gives sentence vectors and token states."""

    def __init__(self, engine: Path) -> None:
        from transformers import AutoTokenizer, BertModel

        self._encoder = BertModel.from_pretrained(engine / "text_encoder").float().eval()
        self._tokenizer = AutoTokenizer.from_pretrained(engine / "tokenizer")
        self.hash = text_hash(engine)

    def encode(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit sentence vectors [n, dim] and hidden states [n, tokens, dim]."""
        ids = self._tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
        with torch.no_grad():
            states = self._encoder(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).last_hidden_state
        return F.normalize(states[:, 0], dim=-1), states


class EncoderTrainer:
    """Trains a network on clips; `texts` are their labels. backbone: a file of `train backbone`, or None. paper: losses
    and attention of the TPoS paper's released code.

    net: the network in training; mean: a copy with the running mean of its weights, which is exported.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        sentences: Sentences,
        layout: Layout,
        plan: EncoderPlan,
        seed: int,
        run: Path,
        backbone: Path | None = None,
        paper: bool = False,
    ) -> None:
        torch.manual_seed(seed)
        self.plan, self.run, self.seed = plan, run, seed
        self.texts = sorted({clip.text for clip in clips})
        vectors, states = sentences.encode(self.texts)
        self.text_targets = Texts(vectors, states[:, 1 : 1 + layout.rows])
        self.net = EncoderNet(layout, paper)
        self.net.bfloat16_convs = trains_in_bfloat16("cpu")
        self.pretrained = load_backbone(self.net, backbone) if backbone else False
        self.backbone = backbone.name if backbone and self.pretrained else ""
        self.frozen = self.pretrained and plan.learned == 0.0
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(not (self.frozen and name.split(".")[0] in BACKBONE_PARTS))
        self.mean = copy.deepcopy(self.net).requires_grad_(False)
        groups = [
            {"params": [p for p in parameters if (p.dim() > 1) == matrix], "share": share, "weight_decay": decay}
            for share, parameters in self._shares()
            for matrix, decay in ((True, plan.decay), (False, 0.0))
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98))
        self.streams = Streams(clips, self.texts, plan.rows, plan.hops, prefix_hops(layout), seed)
        self.carried = self.net.start(plan.rows)
        self.steps, self.spent = 0, 0.0

    def _shares(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Shares of the learning rate and their parameters: the backbone's and the others."""
        early = {id(p) for name, p in self.net.named_parameters() if name.split(".")[0] in BACKBONE_PARTS}
        parameters = list(self.net.parameters())
        return [
            (self.plan.learned if self.pretrained else 1.0, [p for p in parameters if id(p) in early]),
            (1.0, [p for p in parameters if id(p) not in early]),
        ]

    def train(self, seconds: float, steps: int | None = None) -> None:
        """Train for `seconds`, or for `steps` steps; the learning rate falls by a cosine to 0.2 % of its peak."""
        total, before, begin, saved = self.spent + seconds, self.spent, time.monotonic(), time.monotonic()
        done = self.steps
        shown: dict[str, float] = {}
        with tqdm(total=1.0, desc="audio encoder", bar_format=BAR, mininterval=2.0) as bar:
            while (part := self.spent / total if steps is None else (self.steps - done) / max(steps, 1)) < 1:
                warm = min(1.0, (self.steps + 1) / 60)
                for group in self.optimizer.param_groups:
                    group["lr"] = (
                        self.plan.rate * group["share"] * warm * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * part)))
                    )
                for name, value in self._step(self.streams.draw()).items():
                    shown[name] = value if name not in shown else 0.98 * shown[name] + 0.02 * value
                self.spent = before + time.monotonic() - begin
                bar.n = min(part, 1.0)
                bar.set_postfix({k: f"{v:.3f}" for k, v in shown.items()} | {"steps": self.steps}, refresh=False)
                bar.update(0)
                if time.monotonic() - saved > self.plan.save:
                    self.save()
                    saved = time.monotonic()

    def _step(self, batch: Batch) -> dict[str, float]:
        net, plan = self.net, self.plan
        net.train()
        if self.frozen:
            for norm in (*net.norms, net.segment_norm):
                norm.eval()
        carried = self.carried.kept(~torch.from_numpy(batch.fresh))
        output, carried = net(torch.from_numpy(batch.mel), carried)
        self.carried = carried.detached()
        if net.paper:
            losses = paper_losses(net, output, batch, self.text_targets)
        else:
            losses = own_losses(net, output, batch, self.text_targets, plan.weights)
        loss = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self._update_mean()
        return {name: value.item() for name, value in losses.items()}

    @torch.no_grad()
    def _update_mean(self) -> None:
        """Update the running mean of the weights; its decay is small in the first steps."""
        keep = min(self.plan.average, (1 + self.steps) / (10 + self.steps))
        for mean, now in zip(self.mean.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1.0 - keep)
            else:
                mean.copy_(now)

    def save(self) -> None:
        """Write a checkpoint into the run folder."""
        tensors = {f"net.{name}": value.contiguous() for name, value in self.net.state_dict().items()}
        tensors |= {f"mean.{name}": value.contiguous() for name, value in self.mean.state_dict().items()}
        for index, parameter in enumerate(self._parameters()):
            slot = self.optimizer.state.get(parameter, {})
            tensors |= {f"moment.{index}.{name}": value.float().contiguous() for name, value in slot.items()}
        with atomic_write(self.run / "checkpoint.safetensors") as part:
            save_file(tensors, part)
        state = {"steps": self.steps, "spent": self.spent, "texts": self.texts}
        write_text(self.run / "checkpoint.json", json.dumps(state))

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def load(self) -> bool:
        """Continue from the checkpoint in the run folder; False where there is none for these texts and this net."""
        path = self.run / "checkpoint.safetensors"
        if not path.exists():
            return False
        state = json.loads((self.run / "checkpoint.json").read_text(encoding="utf-8"))
        tensors = load_file(path)
        net = {name[4:]: value for name, value in tensors.items() if name.startswith("net.")}
        mean = {name[5:]: value for name, value in tensors.items() if name.startswith("mean.")}
        mine = self.net.state_dict()
        if (
            mean.keys() != mine.keys()
            or state["texts"] != self.texts
            or {k: v.shape for k, v in net.items()} != {k: v.shape for k, v in mine.items()}
        ):
            return False
        self.net.load_state_dict(net)
        self.mean.load_state_dict(mean)
        for index, parameter in enumerate(self._parameters()):
            start = f"moment.{index}."
            slot = {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
            if slot:
                self.optimizer.state[parameter] = slot
        self.steps, self.spent = state["steps"], state["spent"]
        return True
