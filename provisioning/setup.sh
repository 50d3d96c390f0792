#!/bin/sh
# Makes the virtual environment with everything that requirements.lock names, and the command in it.
# For a fresh Debian 12, Debian 13 or Raspberry Pi OS: installs python3-venv when it is missing. Run again it goes on
# where it stopped; an environment that was left half made, or that another Python made, is made anew.
set -eu
venv=$1
python=${PYTHON:-python3}

say() { printf 'feldsher setup: %s\n' "$*"; }
die() { printf 'feldsher setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

pip() {
    "$venv/bin/python" -m pip "$@" ||
        die "pip could not install the libraries (its last lines say why). Without a network: connect, and run the same" \
            "command again. Behind a proxy: set HTTPS_PROXY. With a mirror of PyPI: set PIP_INDEX_URL."
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

command -v "$python" >/dev/null ||
    die "there is no $python: install Python 3.11, 3.12 or 3.13 (Debian: apt-get install python3 python3-venv)," \
        "or name the one that you have: make setup PYTHON=python3.12"
case $(version_of "$python") in
3.11 | 3.12 | 3.13) ;;
*) die "$python is $("$python" -V 2>&1); Feldsher runs on Python 3.11 to 3.13. Name one: make setup PYTHON=python3.11" ;;
esac
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    say "installing python3-venv with apt-get (it may ask for your password)"
    { as_root apt-get update -qq && as_root apt-get install -y -qq python3-venv; } ||
        die "python3-venv is missing and could not be installed: run 'apt-get install python3-venv' as root, then the" \
            "same command again"
fi
say "1/3 virtual environment in $venv ($("$python" -V))"
if [ "$(version_of "$venv/bin/python")" != "$(version_of "$python")" ] ||
    ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear "$venv"
fi
say "2/3 libraries, as pinned in requirements.lock (once: some 300 MB on the disk, a few minutes on a Raspberry Pi)"
pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
say "3/3 the command $venv/bin/feldsher"
pip install --quiet --disable-pip-version-check --no-deps --editable .
say "ready: $("$venv/bin/feldsher" --version)"
