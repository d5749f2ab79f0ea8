// SPDX-License-Identifier: GPL-2.0-only
//! Files for results, as the user names them: refused early, and no reason to keep the results to ourselves.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Exit, Result};
use crate::exec::Exec;

/// Refuses files that cannot be written: this is better told before the work than after it.
pub fn check<'a>(files: impl IntoIterator<Item = &'a Option<PathBuf>>) -> Result<()> {
    let mut known = Vec::new();
    for to in files.into_iter().flatten() {
        let name = to.display();
        if to == Path::new("-") {
            let error = Error::usage("`-` is no file for results");
            return Err(error.help("name a file; standard output has the results as text"));
        }
        let file = place(to).map_err(|e| {
            Error::usage(format!("cannot write a file `{name}`: {e}"))
                .help("give the name of a file in a folder that exists and that you may write to")
        })?;
        if file.is_some() && known.contains(&file) {
            let error = Error::usage(format!("`{name}` is given for two kinds of results"));
            return Err(error.help("give each a file of its own"));
        }
        known.push(file);
    }
    Ok(())
}

/// Where a file is, whatever the way to it. Nothing for pipes and devices: they take results of any number, and opening
/// one may wait for its reader.
fn place(to: &Path) -> std::io::Result<Option<PathBuf>> {
    if to.exists() && !to.is_file() && !to.is_dir() {
        return Ok(None);
    }
    let is_new = !to.exists();
    // Only this tells of all that can be in the way.
    File::options().append(true).create(true).open(to)?;
    let whole = to.canonicalize()?;
    if is_new {
        fs::remove_file(&whole)?;
    }
    Ok(Some(whole))
}

/// Writes a file, if there is to be one.
pub fn write(to: &Option<PathBuf>, text: impl FnOnce() -> String) -> Result<()> {
    match to {
        Some(to) => fs::write(to, text()).map_err(|e| unwritten(to, e)),
        None => Ok(()),
    }
}

/// Copies a file, if there is to be a copy.
pub fn copy(from: &Path, to: &Option<PathBuf>) -> Result<()> {
    match to {
        Some(to) => fs::copy(from, to).map(|_| ()).map_err(|e| unwritten(to, e)),
        None => Ok(()),
    }
}

/// The first error of several files, each of which was tried.
pub fn all(written: Vec<Result<()>>) -> Result<()> {
    written.into_iter().collect()
}

/// A file of the user's was not written. The general advice for a full disk is about the cache.
pub fn unwritten(to: &Path, e: std::io::Error) -> Error {
    Error::failed(format!("cannot write {}: {e}", to.display()))
        .help("free some space if the disk is full there, or name a file elsewhere")
        .because(e)
}

/// How a command ends that has tried to write and to show its results: what was not written makes it fail. If it fails
/// anyway, both are told.
pub fn end(exec: &Exec, written: Result<()>, end: Result<Exit>) -> Result<Exit> {
    match (written, end) {
        (Err(error), end @ (Err(_) | Ok(Exit::Interrupted))) => {
            exec.ui.error(&error);
            end
        }
        (written, end) => written.and(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::{Color, Ui};

    fn refused(files: &[&str]) -> String {
        let files: Vec<_> = files.iter().map(|f| Some(PathBuf::from(f))).collect();
        let error = check(&files).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        error.to_string()
    }

    #[test]
    fn what_cannot_be_written_is_refused_and_the_rest_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let (old, new) = (file("old"), file("new"));
        fs::write(&old, "old").unwrap();
        check(&[Some(old.clone().into()), None, Some(new.clone().into())]).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "old");
        assert!(!Path::new(&new).exists());

        for wrong in ["/", "/no/such/folder/file", "/proc/results"] {
            let text = refused(&[&new, wrong]);
            assert!(
                text.contains(&format!("cannot write a file `{wrong}`")),
                "{text}"
            );
        }
        assert!(refused(&["-"]).starts_with("`-` is no file"));
    }

    #[test]
    fn one_file_is_for_one_kind_of_results() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let link = file("link");
        std::os::unix::fs::symlink("a", &link).unwrap();
        for (one, other) in [("a", "a"), ("a", "./a"), ("a", "link"), ("link", "a")] {
            let text = refused(&[&file(one), &file("b"), &file(other)]);
            assert!(text.contains("for two kinds"), "{text}");
        }
        // The link still leads nowhere.
        assert!(Path::new(&link).is_symlink() && !Path::new(&link).exists());
        let null = || Some(PathBuf::from("/dev/null"));
        check(&[null(), null()]).unwrap();
    }

    #[test]
    fn a_full_disk_of_the_users_gets_no_advice_about_the_cache() {
        let error = write(&Some("/dev/full".into()), || "x".to_owned()).unwrap_err();
        assert_eq!(error.exit(), Exit::Failed);
        assert!(error.message().contains("No space left"), "{error}");
        assert!(!error.advice().unwrap().contains("XDG_CACHE_HOME"));
    }

    #[test]
    fn what_was_not_written_fails_but_never_hides_a_worse_end() {
        let exec = Exec::new(Ui::new(0, Color::Never), false);
        let exit = |written: Result<()>, went: Result<Exit>| {
            end(&exec, written, went).unwrap_or_else(|e| e.exit())
        };
        let full = || Err(Error::failed("full"));
        assert_eq!(exit(Ok(()), Ok(Exit::Finding)), Exit::Finding);
        assert_eq!(exit(full(), Ok(Exit::Finding)), Exit::Failed);
        assert_eq!(exit(full(), Ok(Exit::Interrupted)), Exit::Interrupted);
        assert_eq!(exit(full(), Err(Error::interrupted())), Exit::Interrupted);
    }
}
