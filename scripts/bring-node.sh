# Sourced by the launcher and the npm scripts: sets KNARR_NODE to a Node >= 24 and sees to node_modules.
# Expects $root to be the project's folder. Installs only when package-lock.json changed since the last time.
stamp="$root/node_modules/.knarr-lock"
if ! cmp -s "$root/package-lock.json" "$stamp"; then
  command -v npm >/dev/null 2>&1 || { echo "knarr: npm was not found. Install Node.js 18 or newer (Debian: apt-get install nodejs npm), then run this again." >&2; exit 1; }
  # The pinned Node needs libatomic, which a minimal Debian lacks.
  if [ "$(uname -s)" = Linux ] && ! ls /lib/*/libatomic.so.1 /usr/lib/*/libatomic.so.1 /lib64/libatomic.so.1 /usr/lib64/libatomic.so.1 /usr/lib/libatomic.so.1 >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
      echo "knarr: installing libatomic1 with apt (Node.js needs it)…" >&2
      export DEBIAN_FRONTEND=noninteractive
      apt-get install -y -q --no-install-recommends libatomic1 >/dev/null 2>&1 || { apt-get update -q >/dev/null 2>&1 && apt-get install -y -q --no-install-recommends libatomic1 >/dev/null; } ||
        { echo "knarr: installing libatomic1 failed. Try it by hand: apt-get update && apt-get install libatomic1" >&2; exit 1; }
    else echo "knarr: Node.js needs the library libatomic.so.1. Install it first (Debian, Ubuntu: sudo apt-get install libatomic1)." >&2; exit 1; fi
  fi
  echo "knarr: installing dependencies (first run in this folder)…" >&2
  log=$(mktemp)
  if ! (cd "$root" && npm ci --no-audit --no-fund --loglevel=error) >"$log" 2>&1; then
    cat "$log" >&2; rm -f "$log"
    echo "knarr: installing dependencies failed; see npm's message above. Check the network and run this again." >&2; exit 1
  fi
  rm -f "$log"
  cp "$root/package-lock.json" "$stamp"
fi
if [ -x "$root/node_modules/node/bin/node" ]; then KNARR_NODE="$root/node_modules/node/bin/node"
elif command -v node >/dev/null 2>&1 && [ "$(node -p 'process.versions.node.split(".")[0] >= 24')" = true ]; then KNARR_NODE=$(command -v node)
else echo "knarr: needs Node.js 24 or newer, and the pinned one is missing from node_modules. Remove node_modules and run this again." >&2; exit 1; fi
# Stripped types and compiled code are kept between runs: start-up takes a third of the time and much less memory.
NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-"$root/node_modules/.cache/compile"}
export KNARR_NODE NODE_COMPILE_CACHE
