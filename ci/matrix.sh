#!/bin/sh
# The smoke tier of the matrix, run anew, with its results in target/matrix/; and whether two shards merge to the same.
set -eu
cd "$(dirname "$0")/.."
cargo build --locked -p dmasan
dmasan=target/debug/dmasan
out=target/matrix
rm -rf "$out"
mkdir -p "$out"
"$dmasan" matrix --tier smoke --fresh --json "$out/smoke.json" --junit "$out/smoke.xml" --markdown "$out/smoke.md"

# What was just run is kept, so this takes seconds.
for shard in 1 2; do
	"$dmasan" matrix --tier smoke --shard $shard/2 --json "$out/shard-$shard.json" >/dev/null
done
"$dmasan" matrix merge "$out"/shard-*.json --json "$out/merged.json" --junit "$out/merged.xml" >/dev/null
for of in smoke merged; do
	sed -n '/^  "results"/,$p' "$out/$of.json" >"$out/$of.results"
done
[ -s "$out/smoke.results" ] && cmp "$out/smoke.results" "$out/merged.results"
