#!/usr/bin/env bash
# The whole measurement on a GPU in one call of under ten minutes, from a checkout:
#
#     benchmarks/gpu.sh [RESULTS.jsonl]
#
# Random weights of SD-Turbo's true shape; each part has its own limit, and a part that fails does not take the others
# with it. Says at the end what is missing. The parts of the engine need torch, triton, diffusers, transformers, click,
# pydantic, platformdirs, psutil and pytest; the whole show all of tpos-live's, and OpenGL without a display (EGL).
# TINY=1 runs the same lines on a CPU, in minutes and with small networks, to find mistakes: its figures mean nothing.
# On an H200 these lines took 520 s as one call, in which compiling failed for want of a linker; see docs/performance.md.
set -uo pipefail
cd "$(dirname "$0")/.."
results=$(realpath -m "${1:-benchmarks/results.jsonl}")
python=${PYTHON:-python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
engine=$work/sd-turbo-shape
size=512 many=2000 some=300 few=100 show=15 plain=cuda-graph best=compile shape=() tests=() deadline=$((SECONDS + 590))
export TORCHINDUCTOR_COMPILE_THREADS=${TORCHINDUCTOR_COMPILE_THREADS:-12} HF_HUB_OFFLINE=1
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} # where tpos-live is not installed
if [ -n "${TINY:-}" ]; then
    size=64 many=4 some=3 few=3 show=${SHOW:-0} plain=eager shape=(--tiny) tests=(--collect-only) deadline=$((SECONDS + 3600))
fi
failed=()

part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 left=$((deadline - SECONDS))
    shift 2
    if [ -n "${TINY:-}" ]; then limit=1800; fi
    if [ "$limit" -gt "$left" ]; then limit=$left; fi
    if [ "$limit" -lt 5 ]; then failed+=("$name (no time left)"); return; fi
    echo "== $name (at most $limit s)"
    local began=$SECONDS
    timeout --kill-after=5 "$limit" "$@" || failed+=("$name")
    echo "-- $name took $((SECONDS - began)) s"
}

bench() { # NAME SECONDS ACCELERATOR FRAMES OPTIONS...
    local name=$1 limit=$2 accelerator=$3 frames=$4
    shift 4
    part "$name" "$limit" "$python" -m tpos_live bench engine --engine "$engine" --size "$size" \
        --accelerator "$accelerator" --frames "$frames" --append "$results" "$@"
}

if [ -z "${TINY:-}" ]; then
    nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.max.sm --format=csv,noheader || true
    "$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' || {
        echo "no CUDA card that this torch can use: run \`tpos-live doctor\`" >&2
        exit 1
    }
fi
part "are the pictures right" 60 "$python" -m pytest -q -p no:cacheprovider ${tests[@]+"${tests[@]}"} \
    tests/diffusion/test_on_a_card.py tests/diffusion/test_fuse_projections.py
part "random weights" 60 "$python" benchmarks/shapes.py "$engine" ${shape[@]+"${shape[@]}"}
# In the order of what must be known. Compiling comes first: alone on the card, for it measures which kernels to take.
part "torch.compile" 220 "$python" -m tpos_live engines compile "$engine" --size "$size" --accelerator compile
bench "one step, compiled, baselines, whole show" 240 "$best" "$many" $([ "$show" = 0 ] || echo --show "$show")
if [ "$show" != 0 ]; then
    part "whole show, 30 pictures a second" 70 "$python" -m tpos_live bench --engine "$engine" --size "$size" \
        --accelerator "$best" --fps-cap 30 --seconds $((show / 2)) --append "$results" --offscreen
    part "sound to pixel" 75 "$python" -m tpos_live bench latency --engine "$engine" --size "$size" \
        --accelerator "$plain" --clicks 20 --offscreen
fi
bench "one step, recorded" 45 "$plain" "$some" --no-baselines
bench "four steps, stream batch" 45 "$plain" "$few" --steps 4 --no-baselines
if [ "$show" != 0 ]; then
    part "whole show, the window on the same card" 70 "$python" -m tpos_live bench --engine "$engine" --size "$size" \
        --accelerator "$best" --seconds $((show / 2)) --append "$results" --offscreen
fi
if "$python" -c 'import tensorrt_rtx' 2>/dev/null && [ -z "${TINY:-}" ]; then
    part "compile for TensorRT-RTX" 120 "$python" -m tpos_live engines compile "$engine" --size "$size"
    bench "TensorRT-RTX" 60 tensorrt-rtx "$many" --no-baselines
fi
if [ -z "${TINY:-}" ]; then
    part "live LoRAs" 40 "$python" benchmarks/live_lora.py
    part "to the screen" 20 "$python" benchmarks/to_screen.py
fi
if [ "$plain" != eager ]; then bench "eager" 40 eager "$few" --no-baselines; fi
if [ ${#failed[@]} -gt 0 ]; then
    printf 'not measured: %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "results: $results; python benchmarks/plot.py makes the table"
