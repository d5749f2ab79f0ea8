# SPDX-License-Identifier: GPL-2.0-only
#
# A network card: TCP in both directions with QEMU's user-mode network, where 10.0.2.100 sends numbered lines (port 19),
# tells their checksum (port 20), and tells the checksum of what it gets (port 7).
#
# MTUS: what the driver can be set to.
# LINEAR: the machine where packets have to be in one piece.

peer=10.0.2.100

interface() {
	for net in "$pci"/net/* "$pci"/virtio*/net/*; do
		[ ! -d "$net" ] || break
	done
	name=${net##*/}
	[ -d "/sys/class/net/$name" ]
}

carrier() { [ "$(cat "/sys/class/net/$name/carrier" 2>/dev/null)" = 1 ]; }

up() {
	await interface || fail "$DRIVER offers no network interface"
	[ "$LINEAR" != "$MACHINE" ] || /programs/linear "$name" || fail "$name takes packets in pieces"
	ip link set "$name" up || fail "$name does not come up"
	ip addr add 10.0.2.15/24 dev "$name" 2>/dev/null
	await carrier || fail "$name has no link"
}

down() { ip link set "$name" down; }

bytes() { echo $(($(cat "/sys/class/net/$name/statistics/rx_bytes") + $(cat "/sys/class/net/$name/statistics/tx_bytes"))); }

# A connection that is dead does not end by itself.
talk() { timeout 60 nc -w 60 $peer "$1"; }

ask() { talk "$1" </dev/null; }

work() {
	before=$(bytes)
	[ -s /tmp/sum ] || ask 20 >/tmp/sum
	[ -s /tmp/sum ] || fail "$peer does not answer"
	ask 19 >/tmp/got
	got=$(md5sum </tmp/got)
	[ "$got" = "$(cat /tmp/sum)" ] || fail "received $(wc -c </tmp/got) bytes, and not what was sent"
	sent=$(talk 7 </tmp/got)
	[ "$sent" = "$got" ] || fail "$peer did not get what was sent to it"
	size=$(wc -c </tmp/got)
	after=$(bytes)
	[ $((after - before)) -ge $((size * 2)) ] || fail "$name counts only $((after - before)) bytes"
	moved $((after - before))
}

busy() {
	job ask 19
	job send
}

send() { talk 7 </tmp/got; }

# A card can be taken away in the middle of traffic.
leave() { busy; usleep 300000; }

reset() {
	busy
	for mtu in $MTUS; do
		ip link set "$name" mtu "$mtu" || fail "$name does not take an MTU of $mtu"
		usleep 300000
	done
	ip link set "$name" down
	stop
	up
}
