#!/bin/sh
# Replaces a part of a page, the lines between its marks, by what is read: ci/page.sh PAGE PART <text
set -eu
new=$(mktemp)
trap 'rm -f "$new"' EXIT
awk -v part="$2" '
	$0 == "<!-- end " part " -->" { skip = 0; ends++ }
	!skip { print }
	$0 == "<!-- begin " part " -->" { while ((getline line < "/dev/stdin") > 0) print line; skip = 1; begins++ }
	END { exit begins != 1 || ends != 1 }
' "$1" >"$new" || { echo "$1 has not one part $2" >&2; exit 1; }
cat "$new" >"$1"
