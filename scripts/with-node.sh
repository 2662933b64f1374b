#!/bin/sh
# Runs a script of this project with a Node new enough to execute TypeScript, bringing node_modules (and with them
# a pinned Node) on a fresh clone. Usage: with-node.sh SCRIPT [ARG...]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/bring-node.sh"
script=$1; shift
exec "$KNARR_NODE" --disable-warning=ExperimentalWarning "$root/$script" "$@"
