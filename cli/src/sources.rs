// SPDX-License-Identifier: GPL-2.0-only
//! The source files of a module folder: read, so that a change of any is a new build, and copied to where it happens.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{io, Error, Result};
use crate::exec::Exec;
use crate::module::file_name;
use crate::process;
use crate::stdout;
use crate::ui::size;

/// A folder with more than this is none of a module's, but a home folder or a whole kernel tree.
const MOST: u64 = 256 << 20;

/// A source file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Source {
    /// Its path in the folder.
    pub path: PathBuf,
    /// What is in it.
    pub content: Vec<u8>,
}

/// All files of a folder that matter to a build, in the order of their paths.
pub fn read(folder: &Path) -> Result<Vec<Source>> {
    let mut names = Vec::new();
    let mut bytes = 0;
    list(folder, Path::new(""), &mut names, &mut bytes)?;
    // Told only now, so that the message has the whole size.
    if bytes > MOST {
        let text = format!(
            "the module folder `{}` holds {}",
            folder.display(),
            size(bytes)
        );
        return Err(Error::usage(text).help(format!(
            "a module's folder may hold {} at most: give the folder of the module alone",
            size(MOST)
        )));
    }
    names.sort();
    let read = |path: PathBuf| {
        process::check()?;
        let from = folder.join(&path);
        let content = fs::read(&from).map_err(io("cannot read", &from))?;
        Ok(Source { path, content })
    };
    names.into_iter().map(read).collect()
}

/// Collects the paths of the files below `relative`, and adds up their sizes.
fn list(folder: &Path, relative: &Path, found: &mut Vec<PathBuf>, bytes: &mut u64) -> Result<()> {
    process::check()?;
    let dir = folder.join(relative);
    let entries = fs::read_dir(&dir).map_err(io("cannot read", &dir))?;
    for entry in entries {
        let entry = entry.map_err(io("cannot read", &dir))?;
        let path = entry.path();
        let name = file_name(&path);
        if is_output(&name) {
            continue;
        }
        let relative = relative.join(&name);
        let kind = entry.file_type().map_err(io("cannot read", &path))?;
        if kind.is_dir() {
            list(folder, &relative, found, bytes)?;
        } else if let Some(file) = fs::metadata(&path).ok().filter(|m| m.is_file()) {
            // A link to a file counts as that file. One to a folder is left out: it may lead in circles.
            *bytes += file.len();
            found.push(relative);
        }
    }
    Ok(())
}

/// What an earlier build against another kernel may have left in the user's folder, and what is no source at all.
fn is_output(name: &str) -> bool {
    let ends = [".o", ".ko", ".mod", ".mod.c", ".cmd", ".a", ".rmeta"];
    let names = [
        ".git",
        "target",
        "Module.symvers",
        "modules.order",
        ".tmp_versions",
    ];
    ends.iter().any(|e| name.ends_with(e)) || names.contains(&name)
}

/// Writes the files of `folder` to `copy`.
pub fn copy(exec: &Exec, folder: &Path, sources: &[Source], copy: &Path) -> Result<()> {
    if exec.dry_run {
        let text = format!("# copy {} to {}", folder.display(), copy.display());
        return stdout::line(&text);
    }
    for source in sources {
        let to = copy.join(&source.path);
        let parent = to.parent().unwrap_or(copy);
        fs::create_dir_all(parent).map_err(io("cannot create", parent))?;
        fs::write(&to, &source.content).map_err(io("cannot write", &to))?;
        // Scripts that a Makefile calls have to stay executable.
        let from = folder.join(&source.path);
        let mode = fs::metadata(&from)
            .map_err(io("cannot read", &from))?
            .permissions();
        fs::set_permissions(&to, mode).map_err(io("cannot write", &to))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let found = read(folder).unwrap();
        let name = |s: &Source| s.path.display().to_string();
        found.iter().map(name).collect()
    }

    #[test]
    fn build_outputs_are_no_sources() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "Kbuild",
            "a.c",
            "a.o",
            "a.ko",
            "a.mod.c",
            ".a.o.cmd",
            "Module.symvers",
            "blob.o_shipped",
        ] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/b.c"), "b").unwrap();
        assert_eq!(
            names(dir.path()),
            ["Kbuild", "a.c", "blob.o_shipped", "sub/b.c"]
        );
    }

    #[test]
    fn links_to_files_are_files_and_links_to_folders_are_left_out() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.c"), "a").unwrap();
        symlink("a.c", dir.path().join("b.c")).unwrap();
        symlink("nothing", dir.path().join("c.c")).unwrap();
        for name in ["loop1", "loop2", "loop3"] {
            symlink(".", dir.path().join(name)).unwrap();
        }
        assert_eq!(names(dir.path()), ["a.c", "b.c"]);
        assert_eq!(read(dir.path()).unwrap()[1].content, b"a");
    }

    #[test]
    fn a_folder_that_is_too_large_is_refused_with_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("blob")).unwrap();
        file.set_len(5 << 30).unwrap();
        let error = read(dir.path()).unwrap_err();
        assert!(error.message().contains("holds 5.4 GB"), "{error}");
    }
}
