#!/bin/sh
# The main job on real data, end to end. Every line that starts with "$" is a command you can type yourself.
set -eu
cd "$(dirname "$0")/.."
export ZOO_HOME="${ZOO_HOME:-$PWD/.zoo}"
OUT="$ZOO_HOME/demo"
mkdir -p "$OUT"

run() {
  printf '\n\033[1m$ %s\033[0m\n' "$*"
  "$@"
}

echo "edgezoo: build a family of digit classifiers, publish it, ask for one by budget, pull it, run it."
run zoo validate manifests/digits-cnn.yaml
run zoo build manifests/digits-cnn.yaml --publish
run zoo search --model digits-cnn --device host-cpu --sort size_gzip

# A budget nobody chose by hand: as fast as the float model, at most half its download.
BUDGET=$(python examples/budget.py digits-cnn-fp32)
# shellcheck disable=SC2086  the budget is several words on purpose
run zoo pull $BUDGET --device host-cpu --task image-classification --to "$OUT/model.tflite" --record
run zoo verify "$OUT/model.tflite"
run python examples/infer.py "$OUT/model.tflite" "$OUT/model.tflite.record.json"

NAME=$(python -c "import json,sys; print(json.load(open(sys.argv[1]))['name'])" "$OUT/model.tflite.record.json")
echo
echo "The page of what you pulled: http://127.0.0.1:${ZOO_PORT:-8080}/artifacts/$NAME"
if [ -t 1 ] && [ -z "${CI:-}" ]; then
  echo "Serving it now; Ctrl-C stops."
  exec zoo serve --port "${ZOO_PORT:-8080}"
fi
echo "Serve it with: make serve"
