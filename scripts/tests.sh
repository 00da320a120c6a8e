#!/usr/bin/env bash
# Runs pytest with the arguments given: at least four tests at once where memory allows, as a test of a node
# mostly waits; and with its files in memory where there is room, as a node flushes every commit to disk.
set -euo pipefail
cd "$(dirname "$0")/.."

unset PYTHONDONTWRITEBYTECODE # set in many images: each of hundreds of processes would compile all that it loads

gib_free() { df --output=avail --block-size=1G "$1" | tail -n 1 | tr -d ' '; }

runs_programs() { # a file system mounted noexec does not
    printf '#!/bin/sh\n' >"$1/tried" && chmod +x "$1/tried" && "$1/tried" 2>/dev/null
}

jobs=$(nproc)
memory_gib=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
if ((jobs < 4 && memory_gib >= 10)); then
    jobs=4
fi

if [[ -w /dev/shm ]] && (($(gib_free /dev/shm) >= 6 && memory_gib >= 12)); then
    folder=$(mktemp -d /dev/shm/dn.XXXX)
    trap 'rm -rf "$folder"' EXIT
    chmod 755 "$folder" # as /tmp: some tests are of other users
    if runs_programs "$folder"; then
        export TMPDIR=$folder
    fi
fi

.venv/bin/pytest -n "$jobs" --dist loadgroup --no-loadscope-reorder "$@"
