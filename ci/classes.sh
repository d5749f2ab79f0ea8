#!/bin/sh
# Runs each bug of scenarios/modules/cases, and its twin without the bug, on four kernels, and writes into docs/classes.md
# which tool spoke up. Not part of .ci/run: it builds a kernel with KASAN, which takes long.
#
#   ci/classes.sh               # logs are kept in target/classes/
#   ci/classes.sh reference     # only these kernels anew; the logs of the others are taken as they are
set -eu
cd "$(dirname "$0")/.."
page=docs/classes.md
logs=target/classes
rows=ci/classes/rows.txt
mkdir -p "$logs"
dmasan=${DMASAN:-target/debug/dmasan}
[ -n "${DMASAN:-}" ] || cargo build --locked

# One boot. $1: name of the log; $2: which rows; the rest are options of `dmasan run`.
guest() {
	log=$logs/$1.log
	of=$2
	shift 2
	set -- --device edu --timeout 900 --keep-log "$log" --module scenarios/modules/cases:test=all_errors "$@"
	# Twins first: what a bug leaves behind must not be taken for a false alarm.
	for bug in 0 1; do
		for test in $(awk -F ' *[|] *' -v of="$of" '!/^#/ && $1 == of { print $2 }' "$rows"); do
			# Correct work has no bug to switch on.
			case $bug$test in 1shared | 1skip_sync | 1turns | 1mmio) continue ;; esac
			case $log in */others-*) grep -q "^$of | $test | .* | not others$" "$rows" && continue ;; esac
			set -- "$@" --module "scenarios/modules/cases:test=$test,bug=$bug"
		done
	done
	echo "=== $log"
	rm -f "$log"
	# Findings end it with 1; a case that this kernel cannot do, with 69. Whether the guest got to its end is in the log.
	$dmasan run "$@" >"$logs/out.txt" 2>&1 || [ $? -ne 2 ] || { cat "$logs/out.txt"; exit 1; }
	[ -s "$log" ] || { cat "$logs/out.txt"; exit 1; }
}

for of in vtd passthrough; do
	cmdline=
	[ $of = vtd ] || cmdline=' iommu=pt'
	for tool in ${*:-ours reference others}; do
		case $tool in
		ours) guest ours-$of $of --debug-pagealloc origin --cmdline "iommu.debug_stale_iotlb=1$cmdline" ;;
		reference) guest reference-$of $of --flavor c --cmdline "$cmdline" ;;
		others) guest others-$of $of --flavor c --debug-pagealloc off --config ci/classes/others.config \
			--cmdline "kasan_multi_shot$cmdline" ;;
		*) echo "kernels are: ours reference others" >&2; exit 2 ;;
		esac
	done
done

awk -f ci/classes/table.awk "$rows" "$logs"/*-vtd.log "$logs"/*-passthrough.log >"$logs/table.md"
awk -v text="$logs/table.md" '
	$0 == "<!-- end classes -->" { skip = 0 }
	!skip { print }
	$0 == "<!-- begin classes -->" { while ((getline line < text) > 0) print line; skip = 1 }
' "$page" >"$logs/page.md"
cat "$logs/page.md" >"$page"
