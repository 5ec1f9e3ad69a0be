#!/usr/bin/env bash
# The reactor without ET: the loop never sleeps. Each call is counted.
set -euo pipefail
# Status 1: the check is red, as it has to be.
cargo workshop wrong 7 level_triggered --plain || (($? == 1))
