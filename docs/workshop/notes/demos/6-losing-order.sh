#!/usr/bin/env bash
# Invariant I5 broken: looks first, announces afterwards. The model finds the order that loses a wake.
set -euo pipefail
# Status 1: the check is red, as it has to be.
cargo workshop wrong 9 looks_then_announces --plain || (($? == 1))
