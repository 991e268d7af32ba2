#!/bin/sh
# Makes the virtual environment DIR with the uv that installs what uv.lock says.
# Debian keeps `venv` in a package of its own; as root it is installed, else its name is said.
set -eu
dir=$1
uv_version=0.13.9
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Runcept needs Python 3.11 or newer; set PYTHON=/path/to/python3." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        echo "Python has no venv here. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
"$python" -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check "uv==$uv_version"
