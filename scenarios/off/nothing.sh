# SPDX-License-Identifier: GPL-2.0-only
# What counts tells in debugfs what it has counted: nothing does.
grep -q '^debugfs ' /proc/mounts || { echo "there is no debugfs"; exit 1; }
[ ! -e /sys/kernel/debug/dmasan ] || { ls /sys/kernel/debug/dmasan; exit 1; }
