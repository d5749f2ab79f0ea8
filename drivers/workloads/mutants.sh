# SPDX-License-Identifier: GPL-2.0-only
#
# What is done with a driver that has a bug planted in it, and with the same driver without the bug: all that it does is done
# once, with little data. Comes after common.sh and a workload, and makes that one shorter. A driver with a bug may fail
# at anything, so nothing waits for long. Set before it: WORKLOAD, the name of the workload.

# A driver that does not work any more must not stop the test.
await() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		usleep 100000
	done
}

case $WORKLOAD in
net)
	# Packets of all sizes in both directions, more of them than a ring has; a reader that does not read keeps many of them.
	work() {
		ping -q -w 5 -c 2 10.0.2.2 || fail "10.0.2.2 does not answer"
		for size in 100 300 600 1400; do ping -q -w 5 -c 20 -i 0.02 -s $size 10.0.2.2 || fail "no answer to $size bytes"; done
		nc -w 5 $peer 19 </dev/null | sleep 60 &
		usleep 500000
		timeout 20 nc -w 5 $peer 19 </dev/null | head -c 1500000 | md5sum
		timeout 20 sh -c "head -c 300000 /dev/zero | nc -w 5 $peer 7"
		killall sleep
	}
	;;
disk)
	# Small and large blocks through the page cache, and a command that the disk refuses.
	work() {
		dd if=/dev/zero of="/dev/$name" bs=1M count=4 conv=fsync status=none || fail "cannot write"
		echo 3 >/proc/sys/vm/drop_caches
		for bs in 512 4k 64k 1M; do
			dd if="/dev/$name" of=/dev/null bs=$bs count=4 iflag=direct status=none || fail "cannot read blocks of $bs"
		done
		dd if="/dev/$name" of=/dev/null bs=1M count=8 status=none || fail "cannot read"
	}
	;;
esac

# Makes memory that was freed go back to the page allocator, and hands out all of it once.
reuse() {
	for cache in /sys/kernel/slab/*/shrink; do echo 1 >"$cache"; done 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	mkdir -p /fill
	mount -t tmpfs -o size=100% fill /fill
	free=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
	dd if=/dev/zero of=/fill/zeros bs=1M count=$((free / 1024 - 40)) status=none
	umount /fill
}

case $1 in
use)
	# By default it is silent after the first complaint.
	[ ! -e /sys/kernel/debug/dma-api/all_errors ] || echo 1 >/sys/kernel/debug/dma-api/all_errors
	ready
	work
	down
	;;
reuse) reuse ;;
*) fail "there is no step $1" ;;
esac
