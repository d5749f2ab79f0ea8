#!/bin/sh
# The HTML report in a real browser: fits phone and screen, light and dark, complains of nothing, runs nothing, whatever
# is in the log. Needs Chromium, and gets it from the distribution where it can; else it says that nothing was checked.
#
#   ci/browser.sh screenshot    # writes the pictures in docs/ anew
set -eu
cd "$(dirname "$0")/.."
if ! command -v chromium >/dev/null; then
	[ "$(id -u)" = 0 ] || { echo "ci/browser.sh: install chromium, which only root can do here" >&2; exit 1; }
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null || {
		# A distribution without it says nothing of the page.
		echo "=== NOT CHECKED: the HTML report in a browser, as Chromium cannot be installed here" >&2
		exit 0
	}
fi
if [ "${1:-}" = screenshot ]; then
	exec cargo test -p dmasan --locked --test browser -- --ignored screenshot
fi
cargo test -p dmasan --locked --test browser -- --ignored --skip screenshot
