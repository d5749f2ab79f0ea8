# SPDX-License-Identifier: GPL-2.0-only
# Writes to a SATA disk past the page cache and reads back, then unbinds the driver: nothing may stay counted but the direct region.
set -e
stat() { sed -n "s/^$1: //p" /sys/kernel/debug/dmasan/stats; }
want() {
	if [ "$(stat "$1")" != "$2" ]; then
		echo "$1 is $(stat "$1"), not $2"
		cat /sys/kernel/debug/dmasan/stats
		exit 1
	fi
}

until [ -b /dev/sda ]; do sleep 0.1; done
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of=/dev/sda bs=1M oflag=direct 2>/dev/null
dd if=/dev/sda of=/tmp/back bs=1M count=8 iflag=direct 2>/dev/null
cmp /tmp/data /tmp/back

# 0-16M of the ISA bridge, which is ordinary memory mapped on purpose.
want direct_ranges 1
want direct_pages 4096

echo 0000:00:1f.2 >/sys/bus/pci/drivers/ahci/unbind
want pages_mapped 4096
want sum_of_counts 4096
want pages_negative 0
want findings 0
