#!/usr/bin/env bash
# The whole measurement on a GPU in one call of under ten minutes, from a checkout with tpos-live installed:
#
#     benchmarks/gpu.sh [RESULTS.jsonl]
#
# Not run on a card yet. Random weights of SD-Turbo's true shape; each part has its own limit, and a part that fails
# does not take the others with it. Says at the end what is missing.
set -uo pipefail
cd "$(dirname "$0")/.."
results=$(realpath -m "${1:-benchmarks/results.jsonl}")
python=${PYTHON:-python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()

part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2
    shift 2
    echo "== $name (at most $limit s)"
    local began=$SECONDS
    timeout --kill-after=5 "$limit" "$@" || failed+=("$name")
    echo "-- $name took $((SECONDS - began)) s"
}

nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.max.sm --format=csv,noheader || true
"$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' || {
    echo "no CUDA card that this torch can use: run \`tpos-live doctor\`" >&2
    exit 1
}
engine=$work/sd-turbo-shape
part "random weights" 90 "$python" benchmarks/shapes.py "$engine"
part "eager and baselines" 120 "$python" -m tpos_live bench engine --engine "$engine" --accelerator eager \
    --size 512 --frames 300 --append "$results"
if "$python" -c 'import tensorrt_rtx' 2>/dev/null; then
    part "compile for TensorRT-RTX" 120 "$python" -m tpos_live engines compile "$engine" --size 512
    part "TensorRT-RTX" 60 "$python" -m tpos_live bench engine --engine "$engine" --accelerator tensorrt-rtx \
        --size 512 --frames 2000 --no-baselines --append "$results"
fi
part "four steps" 60 "$python" -m tpos_live bench engine --engine "$engine" --size 512 --steps 4 --frames 100 \
    --no-baselines --append "$results"
part "whole show" 90 "$python" -m tpos_live bench engine --engine "$engine" --size 512 --frames 300 --no-baselines \
    --show 20 --append "$results"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'not measured: %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "results: $results; python benchmarks/plot.py makes the table"
