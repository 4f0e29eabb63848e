#!/bin/sh
# Open the demo in the window; without a display draw it to out/demo.png.
set -eu
cd "$(dirname "$0")/.."
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || [ "$(uname -s)" != Linux ]; then
    exec .venv/bin/condense view assets/demo
fi
mkdir -p out
.venv/bin/condense snapshot assets/demo out/demo.png
echo "There is no display, so the demo was drawn to $(pwd)/out/demo.png"
