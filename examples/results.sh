#!/bin/sh
# Build the shipped manifests, measure them here, and write docs/results.md from their records.
# ZOO_DATA names the folder with the data sets; what needs it is left out when it is not set.
set -eu
cd "$(dirname "$0")/.."
MODELS="--model digits-cnn"
zoo build manifests/digits-cnn.yaml
if [ -n "${ZOO_DATA:-}" ]; then
  zoo build manifests/cifar10-cnn.yaml
  MODELS="$MODELS --model cifar10-cnn"
fi
# shellcheck disable=SC2086  several options on purpose
python -m zoo_builders.results --builds "${ZOO_HOME:-.zoo}/builds" --out docs/results.md $MODELS
