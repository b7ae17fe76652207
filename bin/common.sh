# Sourced by the commands in this directory: where the project is and which PostgreSQL it is built for.
# PG_CONFIG=/path/to/pg_config chooses another PostgreSQL than Debian's 15.

set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

pg_config="${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}"

# pgrx's build script and cargo-pgrx take PostgreSQL from here, so that no `cargo pgrx init` is needed.
export PGRX_PG_CONFIG_PATH="$pg_config"

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# Prints a command and runs it.
run() { say "$*"; "$@"; }

# The cargo features for the chosen PostgreSQL: none for the default one, so that all commands share one build.
pg_features() {
    local major
    major="$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')"
    [ "$major" = 15 ] || printf '%s\n' --no-default-features --features "pg$major"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root: run it as root, or install sudo"
    fi
}
