# SPDX-License-Identifier: GPL-2.0-only
#
# What all workloads share; `docs/drivers.md` describes how it fits together. Set before it: ADDRESS, DRIVER, BUS,
# GROUP, MACHINE, the name of the phase in $1, and the variables of the driver's file. The workload, which follows, has
#
#   up       waits for what the driver offers, and makes it ready
#   work     moves data, compares it, and says how much it was: moved BYTES
#   busy     the same in the background, for ever, and whatever becomes of it
#   reset    sets the device up anew while it is in use
#   down     ends the use
#   leave    ends the use as far as the module can be unloaded then

pci=/sys/bus/pci/devices/$ADDRESS

fail() { echo "FAILED: $*"; exit 1; }

# What the tool reads.
tell() { echo "dmasan: $*"; }
moved() { tell "moved $1"; }

# Waits until a command succeeds, for at most a minute of the guest.
await() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		usleep 100000
	done
}

# The device that the driver is bound to.
device() {
	case $BUS in
	pci) echo "$ADDRESS" ;;
	virtio) set -- "$pci"/virtio*; echo "${1##*/}" ;;
	esac
}

bound() { [ "$(basename "$(readlink "/sys/bus/$BUS/devices/$(device)/driver")")" = "$DRIVER" ]; }

# The device has its driver, and the IOMMU does for it what the machine promises.
check() {
	[ -d "$pci" ] || fail "there is no PCI device $ADDRESS"
	await bound || fail "$(device) is not bound to $DRIVER"
	group=none
	[ ! -e "$pci/iommu_group/type" ] || group=$(cat "$pci/iommu_group/type")
	tell "group $group"
	[ "$group" = "$GROUP" ] || fail "the IOMMU group is of type $group, not $GROUP"
}

unbind() {
	dev=$(device)
	echo "$dev" >"/sys/bus/$BUS/drivers/$DRIVER/unbind" || fail "cannot unbind $dev"
	[ ! -e "/sys/bus/$BUS/devices/$dev/driver" ] || fail "$dev is bound still"
}

bind() {
	dev=$(device)
	echo "$dev" >"/sys/bus/$BUS/drivers/$DRIVER/bind" || fail "cannot bind $dev"
}

ready() { check; up; }

# Ends what runs in the background, also for an earlier phase; nobody else in the guest uses these programs.
stop() {
	touch /tmp/stop
	await quiet || { ls /tmp; ps -o pid,ppid,stat,args; fail "work in the background does not end"; }
	rm /tmp/stop
}

going() { [ ! -e /tmp/stop ]; }

quiet() { killall -q dd nc pcm; set -- /tmp/job.*; [ ! -e "$1" ]; }

# Runs a command in the background again and again.
job() {
	jobs=$((jobs + 1))
	touch "/tmp/job.$jobs"
	{ while going; do "$@"; done; rm "/tmp/job.$jobs"; } </dev/null >/dev/null 2>&1 &
}

# Leaves little memory, and has the kernel look for it all the time.
squeeze() {
	mkdir -p /fill
	mount -t tmpfs -o size=100% fill /fill
	free=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
	dd if=/dev/zero of=/fill/zeros bs=1M count=$((free / 1024 - 40)) status=none
	job reclaim
}

reclaim() {
	echo 3 >/proc/sys/vm/drop_caches
	usleep 200000
}

release() {
	stop
	umount /fill
}

nap() {
	echo 1 >/sys/module/suspend/parameters/pm_test_delay
	echo devices >/sys/power/pm_test
	echo mem >/sys/power/state || fail "the devices do not go to sleep"
	echo none >/sys/power/pm_test
}

# Where a phase gets stuck, the kernel log tells who waits for what.
watch() {
	sleep 90
	ps -o pid,ppid,stat,args | while read -r line; do echo "<5>workload: $line" >/dev/kmsg; done
	echo w >/proc/sysrq-trigger
}

run() {
	watch </dev/null >/dev/null 2>&1 &
	dog=$!
	phase "$1"
	# On a slow host it may have said its part already. What has gone wrong has ended the script by now.
	kill $dog 2>/dev/null
	killall -q sleep
	return 0
}

phase() {
	case $1 in
	traffic) ready; work ;;
	pressure) ready; squeeze; work; release ;;
	reset) ready; reset; work ;;
	rebind) ready; down; unbind; bind; ready; work ;;
	yank) ready; busy; usleep 300000; unbind; stop; bind; ready; work ;;
	rescan)
		ready; down
		echo 1 >"$pci/remove"
		[ ! -d "$pci" ] || fail "$ADDRESS is not removed"
		echo 1 >/sys/bus/pci/rescan
		ready; work ;;
	suspend) ready; nap; ready; work ;;
	leave) ready; leave ;;
	again) stop; ready; work; down ;;
	unbind) unbind ;;
	bind) bind; check ;;
	*) fail "there is no phase $1" ;;
	esac
}
