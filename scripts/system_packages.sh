#!/bin/sh
# Installs the system programs that a goal needs and that are missing: system_packages.sh run|test|bench
# Root with apt-get: installs them. Anybody else: one line that says what to run, exit 1.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

has_browser() {
    has chromium || has chromium-browser || has google-chrome ||
        [ -n "${EGRESS_WEB__CHROMIUM_PATH:-}" ] ||
        ls "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-*/ >/dev/null 2>&1
}

missing=""
want() { missing="$missing $*"; }

goal=${1:-run}
has_browser || want chromium
case "$goal" in test | bench)
    has janus || want janus
    has ffmpeg || want ffmpeg
    has pg_ctl || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || want postgresql
    ;;
esac
case "$goal" in bench)
    has gst-launch-1.0 || want gstreamer1.0-tools
    for pair in compositor:gstreamer1.0-plugins-base qtdemux:gstreamer1.0-plugins-good \
        x264enc:gstreamer1.0-plugins-ugly h264parse:gstreamer1.0-plugins-bad avdec_h264:gstreamer1.0-libav; do
        gst-inspect-1.0 "${pair%%:*}" >/dev/null 2>&1 || want "${pair#*:}"
    done
    has Xvfb || want xvfb
    has pulseaudio || want pulseaudio
    ;;
esac
# A name tile and a page need some font.
{ has fc-list && [ -n "$(fc-list 2>/dev/null | head -n 1)" ]; } || ls /usr/share/fonts/truetype >/dev/null 2>&1 ||
    want fonts-dejavu-core

# What pages in Chinese, Japanese and Korean, and with pictographs, are drawn with. Without, they show boxes.
has_font() { { has fc-list && [ -n "$(fc-list "$1" 2>/dev/null | head -n 1)" ]; } || ls $2 >/dev/null 2>&1; }
fonts=""
has_font :lang=zh "/usr/share/fonts/*/wqy /usr/share/fonts/*/noto/*CJK*" || fonts="$fonts fonts-wqy-microhei"
has_font :lang=und-zsye "/usr/share/fonts/*/noto/*Emoji*" || fonts="$fonts fonts-noto-color-emoji"
if [ "$(id -u)" -eq 0 ] && has apt-get; then
    missing="$missing$fonts"
elif [ -n "$fonts" ]; then
    echo "Pages show boxes for some letters without these fonts:$fonts" >&2
fi

[ -n "$missing" ] || exit 0
if ! has apt-get; then
    echo "Missing programs; install with this system's package manager:$missing" >&2
    exit 1
fi
install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" -ne 0 ]; then
    echo "Missing programs; run: sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "Installing:$missing"
log=$(mktemp)
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "The package manager failed; its whole output is in $log" >&2
    exit 1
fi
rm -f "$log"
