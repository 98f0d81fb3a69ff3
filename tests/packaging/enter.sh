#!/bin/sh
# enter.sh COMMAND...: the command in a mount namespace of its own, with what a booted Debian needs there: control groups of
# the second version, whatever the machine has, and a place for systemd-nspawn's own notes. The machine's mounts stay as they
# are. Needs root.
set -eu

if [ "$(id -u)" != 0 ]; then
    echo "the tests of the package boot whole systems and need root: sudo make test-package" >&2
    exit 1
fi
if [ -z "${EDGED_ENTERED:-}" ]; then
    EDGED_ENTERED=1 exec unshare --mount --propagation private -- "$0" "$@"
fi

umask 022 # a Debian whose files nobody may read is none
umount --recursive /sys/fs/cgroup 2>/dev/null || true
mkdir -p /sys/fs/cgroup /run/systemd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run/systemd
exec "$@"
