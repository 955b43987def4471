#!/usr/bin/env bash
# Train Ember on a GPU for one call of at most ten minutes, and go on in the next:
#
#     benchmarks/train_gpu.sh MINUTES TOTAL [FAMILY,FAMILY,…]
#
# MINUTES are of this call, TOTAL of all calls together: the learning rate and the lessons go by it. The first call takes
# the text encoder of the engine in the box (distilling one needs MiniLM), makes the latent space, and trains the UNet;
# the next ones go on from runs/ember. With OUT set to a folder, the engine comes back there in parts of 15 MB
# (`cat unet.* > diffusion_pytorch_model.safetensors`), with the newest sheet of samples, as long as that fits.
# docs/training.md has the whole plan for a card. TINY=1 tries the lines out on a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=$1 total=$2 families=${3:-}
python=${PYTHON:-python} run=runs/ember device=cuda more=()
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} HF_HUB_OFFLINE=1
if [ -n "${TINY:-}" ]; then device=cpu run=$(mktemp -d)/ember more=(--batch 2 --threads 1); fi
mkdir -p "$run"
for part in tokenizer text_encoder; do
    [ -d "$run/$part" ] || cp -r "engines/ember/$part" "$run/$part"
done
[ -z "$families" ] || more+=(--families "$families")
"$python" -m tpos_live train ember --resume --accelerator "$device" --minutes "$minutes" --of "$total" \
    --run "$run" -o "$run/engine" ${more[@]+"${more[@]}"}
cat "$run/state.json"
if [ -n "${OUT:-}" ]; then
    for part in unet vae; do
        split -b 15000000 -d "$run/engine/$part/diffusion_pytorch_model.safetensors" "$OUT/$part."
        cp "$run/engine/$part/config.json" "$OUT/$part.json"
    done
    cp "$(ls -t "$run"/samples/*.png | head -n 1)" "$OUT/samples.png"
    cp "$run/state.json" "$OUT/state.json"
fi
