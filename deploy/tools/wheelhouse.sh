#!/bin/sh
# Collects all wheels of an installation on machines without internet, for this machine's Python and platform:
#   wheelhouse.sh FOLDER
# The lists check each download by its hash, except PyTorch for CPUs: it comes from TORCH_INDEX, and the file
# SHA256SUMS holds the hash of what was downloaded.
set -eu
cd "$(dirname "$0")/../.."
folder=$1
index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
torch=$(grep '^torch==' deploy/constraints.txt)
mkdir -p "$folder"
for list in node s3 onnx build; do
  pip download --quiet --only-binary :all: --no-deps --require-hashes --dest "$folder" --requirement "deploy/locked/$list.txt"
done
pip download --quiet --only-binary :all: --no-deps --dest "$folder" --extra-index-url "$index" "$torch+cpu"
python -m build --wheel --outdir "$folder" .
cd "$folder"
sha256sum -- *.whl >SHA256SUMS
