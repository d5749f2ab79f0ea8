# SPDX-License-Identifier: GPL-2.0-only
#
# A sound card: plays noise and records at the same time.
#
# RATE: samples in a second.

card() { case $(readlink -f /sys/class/sound/dsp) in *"/$ADDRESS/"*) [ -c /dev/dsp ] ;; *) false ;; esac; }

up() { await card || fail "$DRIVER offers no sound card"; }

down() { :; }

play() { /programs/pcm "$RATE" "$1"; }

work() {
	bytes=$(play 5) || fail "the card does not play and record"
	moved "$bytes"
}

busy() { job play 5; }

# The module of a card in use stays.
leave() { down; }

# Streams begin and end.
reset() { for times in 1 2 3 4; do play 1 >/dev/null || fail "the card does not play and record"; done; }
