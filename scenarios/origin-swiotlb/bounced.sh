# SPDX-License-Identifier: GPL-2.0-only
used=$(cat /sys/kernel/debug/swiotlb/io_tlb_used_hiwater)
echo "bounce buffers used: $used"
[ "$used" -gt 0 ]
