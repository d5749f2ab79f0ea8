#!/bin/sh
# The engine's concurrent part under the model checker loom: all interleavings of small examples.
set -eu
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom ${RUSTFLAGS-}"
# A target folder of its own: the flag would have everything else built anew. Optimised, because it is all computing.
set -- cargo test --package dmasan-engine --test loom --release --locked --target-dir target/loom
# Without the flag the file is empty, and "0 tests passed" would be no news.
list=$("$@" -- --list)
case $list in *": test"*) ;; *) echo "no test was built" >&2; exit 1 ;; esac
"$@"
