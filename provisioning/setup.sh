#!/bin/sh
# Makes the virtual environment with everything that requirements.lock names, and the command in it.
# For a fresh Debian 12, Debian 13 or Raspberry Pi OS: installs python3-venv when it is missing.
set -eu
venv=$1
python=${PYTHON:-python3}

say() { printf 'feldsher setup: %s\n' "$*"; }
die() { printf 'feldsher setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

command -v "$python" >/dev/null || as_root apt-get install -y python3 || die "no $python: install Python 3.11 or later"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
    die "$python is $("$python" -V 2>&1); Feldsher runs on Python 3.11 to 3.13 (make PYTHON=python3.11 …)"
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    say "installing python3-venv with apt-get"
    as_root apt-get update -qq && as_root apt-get install -y -qq python3-venv ||
        die "python3-venv is missing and could not be installed: run 'apt-get install python3-venv' as root"
fi
say "1/3 virtual environment in $venv ($("$python" -V))"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
say "2/3 libraries, as pinned in requirements.lock (a few minutes on a Raspberry Pi, once)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
say "3/3 the command $venv/bin/feldsher"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable .
"$venv/bin/feldsher" --version
