#!/bin/sh
# need.sh [--optional] PACKAGE COMMAND...
#
# Makes sure that the commands of a Debian package are there: installs it as root where apt-get is, otherwise says in
# one line how to. Status 1 where something is missing; with --optional always 0.
set -eu

optional=no
if [ "${1:-}" = --optional ]; then
    optional=yes
    shift
fi
package=$1
shift

# sbin is in nobody's search path but root's
PATH=$PATH:/usr/sbin:/sbin

is_there() {
    case $1 in
    python:*) "${PYTHON:-python3}" -c "import ${1#python:}" >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing=
for command; do
    is_there "$command" || missing="$missing $command"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing $package (missing:$missing)" >&2
    export DEBIAN_FRONTEND=noninteractive
    if { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package"; } </dev/null >&2; then
        # A package like a broker's may start a service of its own: that is the machine's matter, not ours.
        exit 0
    fi
fi
echo "missing:$missing - install with: sudo apt-get install $package" >&2
[ "$optional" = yes ]
