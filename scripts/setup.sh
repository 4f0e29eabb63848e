#!/bin/sh
# Set up everything that `make run`, `make test` or `make bench` (argument: run, test, bench) needs: system packages on
# Debian and Ubuntu, a virtual environment in .venv, the project and what it depends on, compiled kernels.
# What is there already is left alone, so a second call takes a second.
set -eu
cd "$(dirname "$0")/.."
what=${1:-run}

# Qt and OpenGL; xcb for a window under X11 or Xvfb; libusb and libgomp for open3d.
packages="python3 python3-venv libgl1 libgl1-mesa-dri libegl1 libglib2.0-0 libfontconfig1 libxkbcommon0 libdbus-1-3
libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0
libxcb-xinerama0 libxkbcommon-x11-0 libx11-6 libx11-xcb1 libusb-1.0-0 libgomp1 fonts-dejavu-core xvfb"

install_packages() {
    command -v dpkg-query >/dev/null 2>&1 || return 0
    missing=""
    for p in $packages; do
        # libglib2.0-0 is called libglib2.0-0t64 since Ubuntu 24.04
        dpkg-query -W -f '${Status}\n' "$p" "${p}t64" 2>/dev/null | grep -q "install ok installed" || missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    line="apt-get install -y --no-install-recommends$missing"
    if [ "$(id -u)" = 0 ]; then
        sudo=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        sudo="sudo"
    else
        echo "Some system packages are missing. Run this once, then try again:" >&2
        echo "    sudo $line" >&2
        exit 1
    fi
    echo "Installing system packages:$missing"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive $line -qq >/dev/null
}

find_python() {
    for p in python3.12 python3.13 python3.11 python3; do
        if command -v "$p" >/dev/null 2>&1 &&
            "$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$p"
            return 0
        fi
    done
    echo "Python 3.11, 3.12 or 3.13 with venv is needed; none was found." >&2
    exit 1
}

install_packages
if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    echo "Creating .venv with $($python --version)"
    "$python" -m venv .venv
fi

extras=""
[ "$what" = test ] && extras="[test,test-s3,distributed]"
[ "$what" = bench ] && extras="[bench]"
stamp=".venv/.set-up$extras"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "Installing the project and its dependencies (a few minutes the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".$extras"
    touch "$stamp"
fi
.venv/bin/python -m engine.warmup
