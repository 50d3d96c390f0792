#!/bin/sh
# Runs every fuzz target of this folder for SECONDS each (default 60): sh tests/fuzz/run.sh [SECONDS] [NAME...]
# A finding is left in tests/fuzz/findings/ and ends the run.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls fuzz_*.py | sed 's/\.py$//')

guided=yes
if ! "$python" -c 'import atheris' 2>/dev/null; then
    echo "fuzz: INSTALLING atheris beside $python: it is not among the project's requirements" >&2
    if ! "$python" -m pip install --quiet 'atheris>=3.0'; then
        echo "fuzz: NO ATHERIS for $("$python" --version): random mutations only, nothing guides them" >&2
        guided=no
    fi
fi

mkdir -p tests/fuzz/findings
for name in "$@"; do
    echo "fuzz: $name" >&2
    if [ "$guided" = yes ]; then
        corpus=$(mktemp -d)
        "$python" -m "tests.fuzz.$name" -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=1024 \
            -artifact_prefix="tests/fuzz/findings/$name-" "$corpus"
        rm -r "$corpus"
    else
        "$python" -m "tests.fuzz.$name" "$((seconds * 100))" 1
    fi
done
