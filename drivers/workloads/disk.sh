# SPDX-License-Identifier: GPL-2.0-only
#
# A disk: random data written through the page cache and past it, in blocks of several sizes at once, read back from
# the disk and compared.
#
# MIB: how much is written at a time. KIB: the largest transfer, if there has to be a bound. RESET: how the disk is
# reset or unplugged: nvme, scsi, usb, mmc.

MIB=${MIB:-2}

# Whatever is a disk below the PCI device.
disk() {
	for d in /sys/block/*; do
		case $(readlink -f "$d") in
		*"/$ADDRESS/"*) name=${d##*/}; [ "$(cat "$d/size")" -gt 0 ] && return ;;
		esac
	done
	return 1
}

# By a node of one's own: a writer to a name in /dev that has just gone would make a file of that name.
up() {
	await disk || fail "$DRIVER offers no disk"
	rm -f /tmp/disk
	mknod /tmp/disk b $(tr : ' ' <"/sys/block/$name/dev")
	[ -z "$KIB" ] || echo "$KIB" >"/sys/block/$name/queue/max_sectors_kb"
}

down() { sync; }

bytes() { awk '{ print ($3 + $7) * 512 }' "/sys/block/$name/stat"; }

same() { [ "$2" = "$sum" ] || fail "$1: read something else than was written"; }

read_at() { dd if=/tmp/disk bs=64k skip=$(($1 * 16)) count=$((MIB * 16)) status=none $2 | md5sum; }

work() {
	before=$(bytes)
	[ -f /tmp/data ] || dd if=/dev/urandom of=/tmp/data bs=1M count="$MIB" status=none
	sum=$(md5sum </tmp/data)
	dd if=/tmp/data of=/tmp/disk bs=64k conv=fsync status=none || fail "cannot write"
	echo 3 >/proc/sys/vm/drop_caches
	same "page cache" "$(read_at 0)"
	writers=
	for bs in 4k 64k 1M; do
		at=$((at + MIB))
		dd if=/tmp/data of=/tmp/disk bs=$bs seek=$((at << 20)) oflag=direct,seek_bytes conv=notrunc status=none &
		writers="$writers $!"
	done
	for writer in $writers; do wait "$writer" || fail "cannot write past the page cache"; done
	while [ $at -gt 0 ]; do
		same "at $at MiB" "$(read_at $at iflag=direct)"
		at=$((at - MIB))
	done
	after=$(bytes)
	[ $((after - before)) -ge $((MIB * 8 << 20)) ] || fail "$name counts only $((after - before)) bytes"
	moved $((after - before))
}

busy() {
	job dd if=/tmp/disk of=/dev/null bs=4k iflag=direct
	job dd if=/tmp/disk of=/dev/null bs=256k iflag=direct
	job dd if=/tmp/data of=/tmp/disk bs=64k conv=fsync
}

# The module of a disk in use stays.
leave() { down; }

# Takes the disk away in the middle of work, as its bus does when it is unplugged, and gives it back; or resets its
# controller.
reset() {
	busy
	usleep 300000
	case $RESET in
	nvme) echo 1 >"$(echo "$pci"/nvme/nvme*/reset_controller)" || fail "cannot reset" ;;
	scsi)
		dev=$(readlink -f "/sys/block/$name/device")
		host=${dev%%/target*}
		echo 1 >"$dev/delete"
		sleep 1
		echo "- - -" >"/sys/class/scsi_host/${host##*/}/scan" || fail "cannot scan"
		;;
	usb)
		for dev in "$pci"/usb*/[0-9]*-[1-9]; do
			echo 0 >"$dev/authorized" || fail "cannot unplug"
			sleep 1
			echo 1 >"$dev/authorized" || fail "cannot plug"
		done
		;;
	mmc)
		dev=$(readlink -f "/sys/block/$name/device")
		echo "${dev##*/}" >/sys/bus/mmc/drivers/mmcblk/unbind || fail "cannot unplug"
		sleep 1
		echo "${dev##*/}" >/sys/bus/mmc/drivers/mmcblk/bind || fail "cannot plug"
		;;
	*) fail "nothing is known about a reset of $name" ;;
	esac
	stop
	up
}
