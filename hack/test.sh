#!/usr/bin/env bash
# Runs every test of the workspace, and ends with one line: the sums over all of its parts.
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
# The output of passing tests has the measured figures.
cargo test --workspace --no-fail-fast -- --show-output 2>&1 | tee "$log" || status=${PIPESTATUS[0]}

awk '/^test result: / {
    for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) passed += $(i - 1)
        if ($i ~ /^failed/) failed += $(i - 1)
    }
}
END { printf "%d passed, %d failed\n", passed, failed }' "$log"
exit "$status"
