// SPDX-License-Identifier: GPL-2.0-only
//! Why a file gives no source lines.

use std::fmt;
use std::path::Path;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file cannot be read.
    Unreadable,
    /// It is no ELF file, no kernel or no module, or it is damaged.
    Malformed,
    /// It has no debug information.
    NoDebugInfo,
    /// It is not what ran when the log was written.
    OtherBuild,
}

/// A file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub reason: Reason,
    message: String,
}

impl Error {
    pub(crate) fn new(reason: Reason, path: &Path, what: impl fmt::Display) -> Error {
        let message = format!("{}: {what}", path.display());
        Error { reason, message }
    }

    pub(crate) fn damaged(path: &Path, what: impl fmt::Display) -> Error {
        Error::new(
            Reason::Malformed,
            path,
            format_args!("damaged ELF file: {what}"),
        )
    }

    /// What the user can do.
    pub fn advice(&self) -> &'static str {
        match self.reason {
            Reason::Unreadable => "give the path of a file that can be read",
            Reason::Malformed => {
                "give the uncompressed `vmlinux` of the kernel's build folder (not bzImage), and modules as .ko files"
            }
            Reason::NoDebugInfo => {
                "build the kernel with CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y, or get the debug package of your \
                 distribution's kernel"
            }
            Reason::OtherBuild => {
                "give the files of the very build that ran; with --force-symbols they are used as they are, and lines \
                 may be wrong"
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
