#!/bin/sh
# rustfmt on all crates.
set -eu
cd "$(dirname "$0")/.."
cargo fmt --all --check
