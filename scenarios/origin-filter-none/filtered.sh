# SPDX-License-Identifier: GPL-2.0-only
# The finding of the module was not printed, but counted.
set -e
stats=/sys/kernel/debug/dmasan/stats
[ "$(sed -n 's/^findings_filtered: //p' $stats)" = 1 ] || { cat $stats; exit 1; }
[ "$(sed -n 's/^findings: //p' $stats)" = 0 ] || { cat $stats; exit 1; }
