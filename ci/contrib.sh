#!/bin/sh
# The job files in contrib/ against the schemas of those who read them. Without a network the first run fails.
set -eu
cd "$(dirname "$0")/.."
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}" cargo run --quiet --locked --manifest-path ci/contrib/Cargo.toml -- contrib
