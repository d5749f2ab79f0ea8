# SPDX-License-Identifier: GPL-2.0-only
grep '^findings' /sys/kernel/debug/dmasan/stats
