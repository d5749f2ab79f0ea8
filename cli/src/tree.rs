// SPDX-License-Identifier: GPL-2.0-only
//! The patched kernel tree: hard links to an unpacked source, the overlay's new files, and the patches.

use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::embed;
use crate::error::{io, Error, Result};
use crate::exec::{Cmd, Exec};
use crate::root::Env;
use crate::source::Source;

/// Where the engine's files go in a kernel tree.
pub const ENGINE_AT: &str = "drivers/iommu/debug-pagealloc/engine";

/// A file that the project adds to a kernel tree.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// Path in the tree.
    pub path: PathBuf,
    /// Content.
    pub content: &'static [u8],
}

/// All files that the project adds to a kernel of this series, by path: the overlay, what else the series needs, and
/// the engine.
pub fn new_files(series: &str) -> Vec<NewFile> {
    let mut found = Vec::new();
    for overlay in ["overlay".to_owned(), format!("overlay-{series}")] {
        let dir = embed::KERNEL.get_dir(&overlay);
        for file in dir.map(embed::files).unwrap_or_default() {
            let path = file.path().strip_prefix(&overlay).unwrap_or(file.path());
            found.push(NewFile {
                path: path.to_owned(),
                content: file.contents(),
            });
        }
    }
    if !found.is_empty() {
        for file in embed::files(&embed::ENGINE) {
            // The crate root, the model of memory and the atomics are the host's.
            if !["lib.rs", "model.rs", "primitive.rs"]
                .map(Path::new)
                .contains(&file.path())
            {
                found.push(NewFile {
                    path: Path::new(ENGINE_AT).join(file.path()),
                    content: file.contents(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A patch of a series.
#[derive(Clone, Debug)]
pub struct Patch {
    /// File name.
    pub name: String,
    /// The mail.
    pub content: &'static [u8],
}

/// The patches for a kernel series, in order.
pub fn patches(series: &str) -> Vec<Patch> {
    let dir = embed::KERNEL.get_dir(format!("patches/{series}"));
    let files = dir.into_iter().flat_map(|d| d.files());
    let mut found: Vec<_> = files
        .filter(|f| f.path().extension().is_some_and(|e| e == "patch"))
        .map(|f| Patch {
            name: f
                .path()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            content: f.contents(),
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// A tree with the sanitizer in it, made from `source` unless it is there already.
pub fn patched(exec: &Exec, env: &Env, source: &Source) -> Result<(PathBuf, Key)> {
    source.version.check_patches(&source.tree)?;
    let series = &source.version.series;
    let (files, patches) = (new_files(series), patches(series));
    let mut key = Key::new("tree").with("source", source.key.hex());
    for file in &files {
        let name = file.path.to_string_lossy();
        key = key
            .with("file", name.as_bytes())
            .with("content", file.content);
    }
    for patch in &patches {
        key = key.with("patch", patch.content);
    }
    let entry = env.cache(exec)?.entry("tree", &key);
    let dir = entry.get_or_make("patched kernel tree", |dir| {
        let step = exec.ui.step("patching the kernel source");
        let tree = dir.join("linux");
        // Hard links: 90,000 files would take a minute and 1.5 GB to copy.
        exec.run(
            &Cmd::new("cp").arg("-al").arg(&source.tree).arg(&tree),
            None,
        )?;
        if !exec.dry_run {
            write_new_files(&tree, &files)?;
        }
        apply(exec, env, dir, &tree, &patches)?;
        step.done(&format!(
            "{} new files, {} patches",
            files.len(),
            patches.len()
        ));
        Ok(())
    })?;
    Ok((dir.join("linux"), key))
}

fn write_new_files(tree: &Path, files: &[NewFile]) -> Result<()> {
    for file in files {
        let path = tree.join(&file.path);
        let parent = path.parent().unwrap_or(tree);
        std::fs::create_dir_all(parent).map_err(io("cannot create", parent))?;
        // Never through a hard link: that would change the source, too.
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("cannot delete", &path)(e));
            }
            _ => std::fs::write(&path, file.content).map_err(io("cannot write", &path))?,
        }
    }
    Ok(())
}

fn apply(exec: &Exec, env: &Env, dir: &Path, tree: &Path, patches: &[Patch]) -> Result<()> {
    for patch in patches {
        let file = dir.join(&patch.name);
        if !exec.dry_run {
            std::fs::write(&file, patch.content).map_err(io("cannot write", &file))?;
        }
        // GNU patch writes a new file and renames it, so hard links are safe. Fuzz is: a hook in the wrong
        // place would be worse than a refusal.
        let cmd = env
            .cmd_in(&env.inside(tree), "patch")
            .args([
                "-p1",
                "--batch",
                "--forward",
                "--fuzz=0",
                "--no-backup-if-mismatch",
                "-i",
            ])
            .arg(env.inside(&file));
        exec.run(&cmd, None).map_err(|e| {
            let help = "the tree differs from the kernels that the patches were made for";
            let reason = std::error::Error::source(&e).map(ToString::to_string);
            let error = Error::failed(format!("{} does not apply", patch.name)).help(help);
            match reason {
                Some(reason) => error.because(reason),
                None => e,
            }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_files_of_its_own() {
        let paths = |series| -> Vec<_> {
            let files = new_files(series);
            files.into_iter().map(|f| f.path).collect()
        };
        let (new, old) = (paths("7.3"), paths("6.12"));
        let own = PathBuf::from("drivers/iommu/debug-pagealloc/compat.h");
        assert!(!new.contains(&own) && old.contains(&own));
        assert!(new.iter().all(|path| old.contains(path)));
        // Otherwise it would be left to chance which one a tree gets.
        assert!(old.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn new_files_do_not_write_through_hard_links() {
        let dir = tempfile::tempdir().unwrap();
        let (source, tree) = (dir.path().join("source"), dir.path().join("tree"));
        std::fs::create_dir_all(source.join("a")).unwrap();
        std::fs::create_dir_all(tree.join("a")).unwrap();
        std::fs::write(source.join("a/f"), "old").unwrap();
        std::fs::hard_link(source.join("a/f"), tree.join("a/f")).unwrap();
        let new = |path: &str| NewFile {
            path: path.into(),
            content: b"new",
        };
        write_new_files(&tree, &[new("a/f"), new("b/c/g")]).unwrap();
        let read = |p: PathBuf| std::fs::read_to_string(p).unwrap();
        assert_eq!(read(source.join("a/f")), "old");
        assert_eq!(read(tree.join("a/f")), "new");
        assert_eq!(read(tree.join("b/c/g")), "new");
    }
}
