// SPDX-License-Identifier: GPL-2.0-only
//! The one error type of the tool: what failed, why, what to do next, and the exit code.

use std::fmt;

/// Exit codes of the tool; part of its interface, see `dmasan --help`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done and there is no finding.
    Clean = 0,
    /// At least one finding.
    Finding = 1,
    /// Wrong usage, or the host lacks something the user has to provide.
    Usage = 2,
    /// A build or a guest failed.
    Failed = 69,
    /// Output of the kernel that was not understood.
    Unparseable = 70,
    /// Ended by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// The process exit code.
    pub fn code(self) -> u8 {
        self as u8
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// One-paragraph error: what failed (it names the thing), and the next step.
#[derive(Debug)]
pub struct Error {
    exit: Exit,
    message: String,
    help: Option<String>,
    source: Option<Source>,
}

/// Result with the tool's own error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: None,
            source: None,
        }
    }

    /// The user asked for something that cannot be, or the host lacks something.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A build, a guest or a step of the set-up failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Kernel output that is not understood.
    pub fn unparseable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unparseable, message)
    }

    /// The user ended the run.
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted")
    }

    /// Adds the next step for the user; a later text wins.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Adds the reason. A full disk gets its own advice, wherever it is met.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        let source = source.into();
        if self.help.is_none() && source.to_string().contains("No space left on device") {
            self.help = Some(NO_SPACE.to_owned());
        }
        self.source = Some(source);
        self
    }

    /// Says during what the error happened, in front of the message. Being interrupted stays as it is.
    #[must_use]
    pub fn context(mut self, during: impl fmt::Display) -> Self {
        if self.exit != Exit::Interrupted {
            self.message = format!("{during}: {}", self.message);
        }
        self
    }

    /// The exit code that belongs to the error.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What failed, without reason and advice.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The next step, if one is known.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// Advice for a full disk.
pub const NO_SPACE: &str =
    "the disk is full: free some space (a complete set-up takes about 8 GB), or point \
     XDG_CACHE_HOME at a larger file system; what was half-written is redone by the next run";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

/// Short for "this file operation failed": `std::fs::write(..).map_err(io("cannot write", path))`.
pub fn io<'a>(
    what: &'a str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |e| Error::failed(format!("{what} {}: {e}", path.display())).because(e)
}

/// The same of a file or folder that the user has named: the name may be mistyped.
pub fn cannot_read(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |e| {
        let text = format!("cannot read {}: {e}", path.display());
        Error::usage(text).help("give the name of one that exists and that you can read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_published_ones() {
        let all = [
            Exit::Clean,
            Exit::Finding,
            Exit::Usage,
            Exit::Failed,
            Exit::Unparseable,
            Exit::Interrupted,
        ];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 69, 70, 130]);
    }

    #[test]
    fn full_disk_gets_advice_but_never_overrides() {
        let full = || std::io::Error::from_raw_os_error(28);
        let e = Error::failed("x").because(full());
        assert!(e.advice().unwrap().contains("XDG_CACHE_HOME"));
        let e = Error::failed("x").help("own").because(full());
        assert_eq!(e.advice(), Some("own"));
    }

    #[test]
    fn context_leaves_interruption_alone() {
        assert_eq!(Error::interrupted().context("y").message(), "interrupted");
        assert_eq!(Error::failed("x").context("y").message(), "y: x");
    }
}
