#!/bin/sh
# Runs the matrix and writes its tables into docs/matrix.md. Not part of .ci/run: the full tier takes hours.
#
#   ci/matrix-page.sh smoke             # the smoke tier anew, to know what it takes
#   ci/matrix-page.sh full --no-build   # the full tier, with options of `dmasan matrix`; what is kept is not run again
#   ci/matrix-page.sh again --kind mutant   # a part, chosen by options, that was run since
#   ci/matrix-page.sh                   # the page alone, from docs/matrix-*.json
set -eu
cd "$(dirname "$0")/.."
cargo build --locked -p dmasan
dmasan=target/debug/dmasan
tier=${1:-none}
[ $# -eq 0 ] || shift
case $tier in
none) ;;
# Whatever is wrong, or was not run, is in the page, too.
smoke) "$dmasan" matrix --tier smoke --fresh --json docs/matrix-smoke.json "$@" || [ $? -ne 2 ] ;;
full) "$dmasan" matrix --json docs/matrix-full.json "$@" || [ $? -ne 2 ] ;;
again) "$dmasan" matrix --json docs/matrix-again.json "$@" || [ $? -ne 2 ] ;;
*) echo "tables are: smoke full again" >&2; exit 2 ;;
esac
text=$(mktemp)
trap 'rm -f "$text"' EXIT
for tier in smoke full again; do
	[ -e "docs/matrix-$tier.json" ] || continue
	"$dmasan" matrix merge "docs/matrix-$tier.json" --markdown "$text" >/dev/null || [ $? -ne 2 ]
	sh ci/page.sh docs/matrix.md "$tier" <"$text"
done
