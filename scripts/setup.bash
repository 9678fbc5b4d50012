# Sets up the project: sourced by scripts/demo and scripts/test. Quick where all is there already.
#
#   ensure_packages NAME...   install Debian packages that are missing, if we may
#   ensure_environment WHAT   make .venv with the project installed as pip's WHAT says

say() { printf 'rvemu: %s\n' "$*" >&2; }

# Run as root: as we are, or through sudo without a question that nobody would answer.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

ensure_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed ||
            missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return 0
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; }; then
        say "these packages are missing and can't be installed here: ${missing[*]}"
        return 1
    fi
    say "installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends "${missing[@]}" >/dev/null </dev/null
}

# The newest Python that is new enough.
find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    say "Python 3.11 or newer is needed, and none was found"
    return 1
}

ensure_environment() {
    local what=$1 python stamp
    python=$(find_python) || return 1
    # What is installed depends on this; the sources themselves are used where they are (-e).
    stamp=$({ echo "$what"; "$python" --version; pwd; cat pyproject.toml hatch_build.py; } 2>/dev/null |
        cksum)
    if [ -x .venv/bin/python ] && [ "$(cat ".venv/stamp-$what" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    if [ ! -x .venv/bin/python ]; then
        "$python" -c 'import ensurepip, venv' 2>/dev/null || ensure_packages python3-venv || return 1
        say "making a virtual environment in .venv"
        "$python" -m venv .venv || return 1
    fi
    say "installing rvemu and what it needs into .venv (the first time this takes a minute)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$what]" || return 1
    echo "$stamp" >".venv/stamp-$what"
}
