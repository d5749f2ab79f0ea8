#!/bin/sh
# Measures what docs/benchmarks.md shows and writes it there. Not part of .ci/run: the clock needs a quiet machine.
# What was counted already (map, origin, alloc) is not counted again. Arguments: which parts; without any, all of them.
set -eu
cd "$(dirname "$0")/.."
page=docs/benchmarks.md
out=$(mktemp)
trap 'rm -f "$out"' EXIT
cargo build --release --locked

measure() {
	name=$1
	shift
	begin=$(date +%s)
	echo "=== dmasan bench $*"
	target/release/dmasan bench "$@" >"$out"
	{
		echo
		cat "$out"
		case $name in map | alloc | origin) ;; *) machine ;; esac
	} | sh ci/page.sh "$page" "$name"
	echo "=== $name took $(($(date +%s) - begin)) s"
}

# Times, unlike instructions, depend on it.
machine() {
	model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	echo "Measured on $(nproc) CPUs: $model."
}

for part in ${*:-map origin alloc wall engine}; do
	case $part in
	map) measure map map --repeat 2 --svg docs/bench-map.svg ;;
	origin) measure origin map --flavors none,rust,dma-api-debug --param 1,origin --pages 1,16,256,1024 ;;
	alloc) measure alloc alloc --repeat 2 --svg docs/bench-alloc.svg ;;
	wall) measure wall map --wall-clock --fresh --repeat 31 --flavors none,rust --param 1 --pages 1,256 ;;
	engine) measure engine engine --svg docs/bench-engine.svg ;;
	*) echo "parts are: map origin alloc wall engine" >&2; exit 2 ;;
	esac
done
