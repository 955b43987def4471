#!/usr/bin/env bash
# Train Ember on a GPU that is lent for a short time, whose calls end after ten minutes at most:
#
#     benchmarks/train_gpu.sh WAIT MINUTES [OPTION…]
#
# The first call starts one training of MINUTES, in a session of its own, which goes on between the calls. Every call
# waits until the training has ended, WAIT seconds at most, and shows what it says. It begins from the engine in the box;
# options are those of `tpos-live train ember`: --families, --often, --batch. With OUT set to a folder, the engine as it
# is by then comes back there in parts of 15 MB (`cat unet.?? > diffusion_pytorch_model.safetensors`), with the newest
# sheet of samples and the log. docs/training.md has the whole plan for a card. TINY=1 tries the lines out on a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
wait=$1 minutes=$2 python=${PYTHON:-python}
shift 2
run=${RUN:-runs/card} device=cuda
if [ -n "${TINY:-}" ]; then device=cpu; set -- --batch 2 --threads 1 "$@"; fi
if [ ! -d "$run" ]; then
    mkdir -p "$run"
    cp -r engines/ember "$run/engine"
    PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 setsid "$python" -m tpos_live \
        train ember --resume --accelerator "$device" --minutes "$minutes" --run "$run/ember" -o "$run/engine" "$@" \
        >"$run/log" 2>&1 </dev/null &
    echo $! >"$run/pid"
fi
for ((second = 0; second < wait; second++)); do
    kill -0 "$(cat "$run/pid")" 2>/dev/null || break
    sleep 1
done
tr '\r' '\n' <"$run/log" | grep -v '^$' | tail -n 20
if [ -n "${OUT:-}" ]; then
    cp "$run/log" "$OUT/"
    for part in unet vae; do
        split -b 15000000 -d "$run/engine/$part/diffusion_pytorch_model.safetensors" "$OUT/$part."
        cp "$run/engine/$part/config.json" "$OUT/$part.json"
    done
    sheet=$(ls -t "$run"/ember/samples/*.png 2>/dev/null | head -n 1)
    [ -z "$sheet" ] || cp "$sheet" "$OUT/samples.png"
fi
