# SPDX-License-Identifier: GPL-2.0-only
# Writes 32 MiB to an NVMe drive, reads them back, compares.
set -e
until [ -b /dev/nvme0n1 ]; do sleep 0.1; done
dd if=/dev/urandom of=/tmp/data bs=1M count=32 2>/dev/null
dd if=/tmp/data of=/dev/nvme0n1 bs=1M conv=fsync 2>/dev/null
# What is read has to come from the drive, not from memory.
blockdev --flushbufs /dev/nvme0n1
dd if=/dev/nvme0n1 bs=1M count=32 2>/dev/null | cmp - /tmp/data
echo "nvme: 32 MiB written, read back, and equal"
