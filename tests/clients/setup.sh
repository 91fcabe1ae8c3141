#!/usr/bin/env bash
# Installs Microsoft's clients and builds the Go programs that try them, once, into a cache outside target/. Prints the
# folder on stdout, all else on stderr. POOLKEEPER_CLIENTS is another folder; see README.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"

hash=$(cat setup.sh go/go.mod go/go.sum go/*/*.go python/requirements.txt node/package.json node/package-lock.json |
    { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-12)
clients=${POOLKEEPER_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/poolkeeper/clients-$hash}
mkdir -p "$clients"

missing() {
    echo "the test of Microsoft's clients needs $1: $2" >&2
    return 1
}

# All runtimes are asked for before anything is installed, so that one message names all that is missing.
check_runtimes() {
    local status=0
    command -v go >/dev/null || missing "Go 1.25 or newer" "https://go.dev/dl" || status=1
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        missing "Python 3.10 or newer with venv" \
            "apt-get install python3-venv, dnf install python3, brew install python" || status=1
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null ||
        missing "Node 20 or newer" "apt-get install nodejs, dnf install nodejs, brew install node; or https://nodejs.org" ||
        status=1
    command -v npm >/dev/null || missing "npm" "apt-get install npm, dnf install npm; brew's node has it" || status=1
    return $status
}

# once PART: makes the part in a temporary folder, and moves it where readers see all of it or none.
once() {
    local part=$1 started=$SECONDS
    [[ ! -e $clients/$part ]] || return 0
    echo "installing Microsoft's clients for $part into $clients (once)" >&2
    "$part" "$temporary/$part" >&2
    [[ -e $clients/$part ]] || mv "$temporary/$part" "$clients/$part"
    echo "installed in $((SECONDS - started)) s" >&2
}

go_programs() {
    mkdir "$1"
    (cd go && CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -ldflags '-s -w' -o "$1/" ./compute ./devops)
}

python() {
    python3 -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: --require-hashes \
        --requirement python/requirements.txt
}

node_modules() {
    mkdir "$1.folder"
    cp node/package.json node/package-lock.json "$1.folder"
    npm ci --prefix "$1.folder" --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
    mv "$1.folder/node_modules" "$1"
}

if [[ ! -e $clients/go_programs || ! -e $clients/python || ! -e $clients/node_modules ]]; then
    check_runtimes
    # Where flock is missing, two callers install the same twice, and the first one's is kept.
    if command -v flock >/dev/null; then
        exec 9>"$clients/.lock"
        flock --nonblock 9 || { echo "another process installs the clients; waiting for it" >&2; flock 9; }
    fi
    temporary=$(mktemp -d "$clients/.install-XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    once go_programs
    once python
    once node_modules
fi
echo "$clients"
