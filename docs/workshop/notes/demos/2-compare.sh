#!/usr/bin/env bash
# How many of ten clients are served at once, and with how many threads. The other figures of a quick run mean
# little, and none of a build without optimization is shown.
set -euo pipefail
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
target/debug/flavors compare --quick --models blocking,threads,busy-wait,event-loop,async --out "$out" >/dev/null 2>&1
/usr/bin/python3 - "$out/raw.json" <<'PYTHON'
import json
import sys

for model in json.load(open(sys.argv[1]))["models"]:
    cell = next(cell for cell in model["cells"]
                if (cell["clients"], cell["idle_clients"], cell["slow_reader"]) == (10, 0, False))
    print(f"{model['name']:<18} served {cell['served']:>2} of 10 clients   threads {cell['threads']:>2}")
PYTHON
