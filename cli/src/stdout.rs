// SPDX-License-Identifier: GPL-2.0-only
//! Standard output: results, and the commands of a dry run. Everything else goes to stderr, see [`crate::ui`].

use std::io::{ErrorKind, Write};

use crate::error::{Error, Result};

/// Writes `text`. A reader that has seen enough (`dmasan run | head`) is no error: the work goes on without it.
pub fn print(text: &str) -> Result<()> {
    write(&mut std::io::stdout().lock(), text)
}

/// Writes `text` and ends the line.
pub fn line(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

fn write(out: &mut impl Write, text: &str) -> Result<()> {
    // Without the flush an error could come up where nobody looks: when the process ends.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::failed(format!(
            "cannot write to standard output: {e}"
        ))
        .help("what standard output is redirected to is full or cannot be written to")
        .because(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error_but_a_full_disk_is() {
        write(&mut Fails(ErrorKind::BrokenPipe), "x").unwrap();
        let error = write(&mut Fails(ErrorKind::StorageFull), "x").unwrap_err();
        assert!(error.message().contains("standard output"), "{error}");
        // The advice is not the one about the cache.
        assert!(error.advice().unwrap().contains("redirected"));
    }
}
