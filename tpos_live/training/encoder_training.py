"""Train the sound encoder: `tpos-live train encoder`.

The losses are those of TPoS (Jeong et al., ICCV 2023, section 3.2), put right: the newest step and the attended
meaning against the texts, each divided by a learned temperature; a clip against its own augmentation; the text
encoder's hidden states, regressed by a linear mapping from the very vector that the stage hands on; and, new, the
density of procedural sounds, whatever their level. Streams are endless, and gradients go back one batch.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from tpos_live.analysis.encoder_folder import text_hash
from tpos_live.analysis.sound_encoder import Layout
from tpos_live.training.clips import Clip
from tpos_live.training.encoder_net import EncoderNet, prefix_hops
from tpos_live.training.streams import Batch, Streams


@dataclass(frozen=True)
class EncoderPlan:
    """rows: streams in a batch, even. hops: length of a batch, in hops. Weights of the losses; rate: peak learning
    rate; save: seconds between checkpoints."""

    rows: int = 12
    hops: int = 240
    rate: float = 4e-3
    decay: float = 0.05
    smoothing: float = 0.05
    contrast: float = 0.1
    states: float = 0.2
    density: float = 2.0
    save: float = 60.0


class Sentences:
    """An engine's text encoder: sentence vectors, and states for tokens."""

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
    """Trains one net on clips; `texts` are all that a sound may mean."""

    def __init__(
        self, clips: Sequence[Clip], sentences: Sentences, layout: Layout, plan: EncoderPlan, seed: int, run: Path
    ) -> None:
        torch.manual_seed(seed)
        self.plan, self.run, self.seed = plan, run, seed
        self.texts = sorted({clip.text for clip in clips})
        self.vectors, states = sentences.encode(self.texts)
        self.states = states[:, 1 : 1 + layout.rows]
        self.net = EncoderNet(layout)
        self.net.coarse = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        matrices = [p for p in self.net.parameters() if p.dim() > 1]
        others = [p for p in self.net.parameters() if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": plan.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98))
        self.streams = Streams(clips, self.texts, plan.rows, plan.hops, prefix_hops(layout), seed)
        self.carried = self.net.start(plan.rows)
        self.steps, self.spent = 0, 0.0

    def train(self, seconds: float) -> None:
        """Train for so many seconds of the clock; the learning rate falls to nothing at their end."""
        total, before, begin, saved = self.spent + seconds, self.spent, time.monotonic(), time.monotonic()
        shown: dict[str, float] = {}
        with tqdm(total=round(seconds), unit="s", desc="sound encoder", mininterval=2.0) as bar:
            while self.spent < total:
                part = self.spent / total
                warm = min(1.0, (self.steps + 1) / 60)
                for group in self.optimizer.param_groups:
                    group["lr"] = self.plan.rate * warm * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * part)))
                for name, value in self._step(self.streams.draw()).items():
                    shown[name] = value if name not in shown else 0.98 * shown[name] + 0.02 * value
                self.spent = before + time.monotonic() - begin
                bar.n = min(bar.total, round(self.spent - before))
                bar.set_postfix({k: f"{v:.3f}" for k, v in shown.items()} | {"steps": self.steps}, refresh=False)
                bar.update(0)
                if time.monotonic() - saved > self.plan.save:
                    self.save()
                    saved = time.monotonic()

    def _step(self, batch: Batch) -> dict[str, float]:
        net, plan = self.net, self.plan
        net.train()
        carried = self.carried.kept(~torch.from_numpy(batch.fresh))
        heard, carried = net(torch.from_numpy(batch.mel), carried)
        self.carried = carried.detached()
        label, weight = torch.from_numpy(batch.label), torch.from_numpy(batch.weight)
        scale = 1.0 / net.temperature.clamp(math.log(0.03), math.log(0.5)).exp()

        def text_loss(vectors: torch.Tensor) -> torch.Tensor:
            logits = (vectors @ self.vectors.T * scale).flatten(0, 1)
            each = F.cross_entropy(logits, label.flatten(), reduction="none", label_smoothing=plan.smoothing)
            return (each * weight.flatten()).sum() / weight.sum().clamp_min(1.0)

        newest, attended = text_loss(heard.newest), text_loss(heard.meaning)
        loss = newest + attended
        loss = loss + plan.contrast * _own_augmentation(heard.meaning[:, -1], label[:, -1], scale)
        rows = self.states[label]
        told = net.states(heard.meaning).view_as(rows)
        states = ((told - rows).pow(2).mean((-1, -2)) * weight).sum() / weight.sum().clamp_min(1.0)
        loss = loss + plan.states * states
        density = torch.from_numpy(batch.density)
        known = density.isfinite() & (weight > 0)
        off = (heard.density - density.nan_to_num())[known]
        strength = off.pow(2).mean() if known.any() else off.sum()
        loss = loss + plan.density * strength
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        right = (heard.meaning @ self.vectors.T).argmax(-1) == label
        share = (right * weight).sum() / weight.sum().clamp_min(1.0)
        return {"newest": newest.item(), "text": attended.item(), "right": share.item(), "density": strength.item()}

    def save(self) -> None:
        """Write a checkpoint into the run folder."""
        self.run.mkdir(parents=True, exist_ok=True)
        tensors = {f"net.{name}": value.contiguous() for name, value in self.net.state_dict().items()}
        for index, slot in enumerate(self.optimizer.state.values()):
            tensors |= {f"moment.{index}.{name}": value.float().contiguous() for name, value in slot.items()}
        path = self.run / "checkpoint.safetensors"
        save_file(tensors, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        state = {"steps": self.steps, "spent": self.spent, "texts": self.texts}
        (self.run / "checkpoint.json").write_text(json.dumps(state), encoding="utf-8")

    def load(self) -> bool:
        """Go on from the checkpoint of the run folder; False where there is none for these texts and this net."""
        path = self.run / "checkpoint.safetensors"
        if not path.exists():
            return False
        state = json.loads((self.run / "checkpoint.json").read_text(encoding="utf-8"))
        tensors = load_file(path)
        net = {name[4:]: value for name, value in tensors.items() if name.startswith("net.")}
        mine = self.net.state_dict()
        if state["texts"] != self.texts or {k: v.shape for k, v in net.items()} != {
            k: v.shape for k, v in mine.items()
        }:
            return False
        self.net.load_state_dict(net)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for index, parameter in enumerate(parameters):
            start = f"moment.{index}."
            slot = {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
            if slot:
                self.optimizer.state[parameter] = slot
        self.steps, self.spent = state["steps"], state["spent"]
        return True


def _own_augmentation(vectors: torch.Tensor, label: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """A clip finds its own other hearing among all, both ways; others of the same text do not count as wrong."""
    half = len(vectors) // 2
    logits = vectors[:half] @ vectors[half:].T * scale
    same = (label[:half, None] == label[None, half:]) & ~torch.eye(half, dtype=torch.bool)
    logits = logits.masked_fill(same, -1e4)
    target = torch.arange(half)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
