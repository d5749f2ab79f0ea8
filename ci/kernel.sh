#!/bin/sh
# The kernel's own checks on our kernel files: rustfmt, checkpatch, CLIPPY=1.
set -eu
cd "$(dirname "$0")/.."
cargo run --release --locked -- kernel check
