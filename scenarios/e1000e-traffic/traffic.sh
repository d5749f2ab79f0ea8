# SPDX-License-Identifier: GPL-2.0-only
# Large pings through an e1000e card, then the same once more after its driver was unbound and bound.
set -e
traffic() {
	ip link set eth0 up
	ip addr add 10.0.2.15/24 dev eth0
	ping -q -A -c 200 -s 1400 10.0.2.2
	ip link set eth0 down
}

traffic
device=$(basename "$(readlink /sys/class/net/eth0/device)")
echo "$device" >/sys/bus/pci/drivers/e1000e/unbind
echo "$device" >/sys/bus/pci/drivers/e1000e/bind
until [ -d /sys/class/net/eth0 ]; do sleep 0.1; done
traffic
