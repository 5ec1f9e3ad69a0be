#!/usr/bin/env bash
# A wake that is lost, because the flag is cleared after the poll.
set -euo pipefail
# Status 1: the check is red, as it has to be.
cargo workshop wrong 4 cleared_after_the_poll --plain || (($? == 1))
