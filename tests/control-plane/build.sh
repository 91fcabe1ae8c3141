#!/usr/bin/env bash
# Builds control-plane, kubectl and helm once, into a cache outside target/. Prints the folder on stdout, all else on
# stderr. A tool that is there already is not built again; see README.md for the variables that replace one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"

hash=$(cat go.mod go.sum ./*.go helm/go.mod helm/go.sum build.sh | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-12)
tools=${POOLKEEPER_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/poolkeeper/tools-$hash}
mkdir -p "$tools"

beat=
temporary=
cleanup() {
    [[ -z $beat ]] || kill "$beat" 2>/dev/null || true
    [[ -z $temporary ]] || rm -rf "$temporary"
}
trap cleanup EXIT

wanted() {
    case $1 in
        control-plane) [[ -z ${POOLKEEPER_KUBECONFIG:-} ]] || return 1 ;;
        kubectl) [[ ! -x ${KUBEBUILDER_ASSETS:-}/kubectl ]] || return 1 ;;
    esac
    [[ ! -x $tools/$1 ]]
}

# Short sleeps, so that none outlives this script by long with its stderr still open.
heartbeat() {
    local count=0
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        count=$((count + 1))
        ((count % 15)) || echo "  $1: ${count} s" >&2
    done
}

# Without these the API server calls itself v0.0.0, and Helm refuses charts that ask for a minimum.
version=$(sed -n 's|^\tk8s.io/kubernetes v||p' go.mod)
IFS=. read -r major minor _ <<<"$version"
component=k8s.io/component-base/version
flags="-s -w -X $component.gitVersion=v$version -X $component.gitMajor=$major -X $component.gitMinor=$minor"

# build NAME FOLDER PACKAGE
build() {
    local name=$1 folder=$2 package=$3 started=$SECONDS
    wanted "$name" || return 0
    command -v go >/dev/null || {
        echo "$name is built from Go source, and there is no Go: install Go 1.26 or newer (https://go.dev/dl)" >&2
        return 1
    }
    echo "building $name into $tools (once; minutes where Go has nothing cached)" >&2
    heartbeat "$name" >/dev/null 9>&- &
    beat=$!
    disown "$beat"
    # Without cgo and paths the binaries are the same everywhere, and do not depend on the state of the work tree.
    (cd "$folder" && CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -ldflags "$flags" -o "$temporary/$name" "$package")
    kill "$beat" 2>/dev/null || true
    beat=
    mv -f "$temporary/$name" "$tools/$name" # atomic: a reader sees the whole tool or none
    echo "built $name in $((SECONDS - started)) s" >&2
}

if wanted control-plane || wanted kubectl || wanted helm; then
    # Where flock is missing, two callers build the same twice, and the renames keep the cache whole.
    if command -v flock >/dev/null; then
        exec 9>"$tools/.lock"
        flock --nonblock 9 || { echo "another process builds the tools; waiting for it" >&2; flock 9; }
    fi
    temporary=$(mktemp -d "$tools/.build-XXXXXX")
    build control-plane . .
    build kubectl . k8s.io/kubernetes/cmd/kubectl
    build helm helm helm.sh/helm/v4/cmd/helm
fi
echo "$tools"
