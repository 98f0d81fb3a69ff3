#!/bin/sh
# build_deb.sh [OUTDIR]
#
# Builds the Debian package in OUTDIR (build/deb) from a copy of the working tree, without what git ignores, and says where
# it is. The same files give the same bytes. Without network once build/vendor is full.
set -eu
umask 022
unset MAKEFLAGS MFLAGS MAKELEVEL

root=$(dirname "$(dirname "$(readlink -f "$0")")")
mkdir -p "${1:-$root/build/deb}"
out=$(readlink -f "${1:-$root/build/deb}")
cd "$root"

PYTHON=/usr/bin/python3
export PYTHON
tools/need.sh dpkg-dev dpkg-buildpackage dpkg-parsechangelog
tools/need.sh debhelper dh dh_installsysusers
tools/need.sh dh-python dh_python3
tools/need.sh python3 "$PYTHON" python:tomllib
tools/need.sh build-essential make g++

version=$(dpkg-parsechangelog -S Version)
own=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' edged/__init__.py)
if [ "$version" != "$own" ]; then
    echo "build_deb.sh: debian/changelog says $version, edged/__init__.py says $own: write a changelog entry with dch" >&2
    exit 1
fi
"$PYTHON" tools/vendor.py fetch

rm -rf "$out/source" "$out"/edged_*
mkdir "$out/source"
if [ -e .git ] && tracked=$(git -c safe.directory="$root" ls-files -z --cached --others --exclude-standard | tr '\0' '\n') && [ -n "$tracked" ]; then
    printf '%s\n' "$tracked" | while IFS= read -r name; do [ ! -e "$name" ] || printf '%s\n' "$name"; done >"$out/source.list"
    tar -c -T "$out/source.list" | tar -x -C "$out/source"
    rm "$out/source.list"
else
    tar -c --exclude=./build --exclude='./.venv*' --exclude=__pycache__ --exclude='*.egg-info' . | tar -x -C "$out/source"
fi
mkdir -p "$out/source/build"
ln -s "$root/build/vendor" "$out/source/build/vendor"

cd "$out/source"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)
export SOURCE_DATE_EPOCH
find . -type d -exec chmod 0755 {} + -o -type f -perm /100 -exec chmod 0755 {} + -o -type f -exec chmod 0644 {} +
if ! env LC_ALL=C.UTF-8 TZ=UTC dpkg-buildpackage -us -uc -b >"$out/build.log" 2>&1; then
    tail -n 30 "$out/build.log" >&2
    echo "build_deb.sh: the package was not built; the whole log is $out/build.log" >&2
    exit 1
fi
cd "$root"
rm -rf "$out/source"
echo "$out/edged_${version}_all.deb"
