# SPDX-License-Identifier: GPL-2.0-only
# Writes 32 MiB to an NVMe drive, reads them back, compares their checksums.
set -e
sum() { sha256sum <"$1" | cut -d' ' -f1; }

until [ -b /dev/nvme0n1 ]; do sleep 0.1; done
dd if=/dev/urandom of=/tmp/data bs=1M count=32 2>/dev/null
# Past the page cache: the drive reads and writes the buffers of dd.
dd if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct 2>/dev/null
dd if=/dev/nvme0n1 of=/tmp/back bs=1M count=32 iflag=direct 2>/dev/null

written=$(sum /tmp/data)
back=$(sum /tmp/back)
echo "sha256 written   $written"
echo "sha256 read back $back"
[ "$written" = "$back" ]
echo "nvme: 32 MiB written, read back, and equal"
