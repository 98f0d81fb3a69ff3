#!/bin/sh
# home_assistant.sh FOLDER
#
# Makes a virtual environment with Home Assistant's core and MQTT integration, for the tests that have it judge and run
# our discovery documents. It wants Python 3.13 or later: Debian 13's, one of pyenv's, or one that uv fetches.
set -eu

folder=$1
here=$(dirname "$(readlink -f "$0")")/..
wanted=$here/tests/home_assistant/requirements.txt
if cmp -s "$wanted" "$folder/.installed"; then
    exit 0
fi

python=
find_python() {
    for each in "$@"; do
        if "$each" -c 'import sys; sys.exit(sys.version_info < (3, 13))' >/dev/null 2>&1; then
            python=$each
            return
        fi
    done
}

find_python python3.14 python3.13 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[3-9]*/bin/python3 \
    /root/.pyenv/versions/3.1[3-9]*/bin/python3
if [ -z "$python" ]; then
    "${PYTHON:-python3}" -m venv --clear "$folder-uv"
    "$folder-uv/bin/python" -m pip install --quiet --disable-pip-version-check uv &&
        "$folder-uv/bin/uv" python install --quiet --install-dir "$folder-python" 3.13 || true
    find_python "$folder-python"/*/bin/python3
fi
if [ -z "$python" ]; then
    echo "Home Assistant needs Python 3.13 or later, none is here and uv could not fetch one: pyenv install 3.13" >&2
    exit 1
fi

"$python" -m venv --clear "$folder"
# Its wheel says 3.13.2; what the tests use of it runs on any 3.13.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python -r "$wanted"
cp "$wanted" "$folder/.installed"
