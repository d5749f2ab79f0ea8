// SPDX-License-Identifier: GPL-2.0-only
//! Everything expensive is made once: directories named by the content they were made from.
//!
//! An entry is a directory that counts only with its `complete` marker, which is written last. A run that was
//! killed or that met a full disk leaves no marker; the next one deletes the remains and makes the entry anew.
//! Makers of one entry exclude each other by a lock file beside it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::error::{io, Error, Result};
use crate::exec::Exec;
use crate::process::check;
use crate::ui::duration;

/// Name of the marker inside of an entry.
const MARKER: &str = "complete";

/// Identity of an entry: a hash over labelled parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key(String);

impl Key {
    /// A key that begins with a name.
    pub fn new(name: &str) -> Self {
        Key(String::new()).with("name", name)
    }

    /// The key with one more part. Lengths are hashed too, so parts cannot flow into each other.
    #[must_use]
    pub fn with(&self, label: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let mut hash = Sha256::new();
        for part in [self.0.as_bytes(), label.as_bytes(), content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Key(hex(&hash.finalize()))
    }

    /// The hash in hexadecimal.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// The part of the hash that stands in file names.
    pub fn short(&self) -> &str {
        &self.0[..16]
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A folder of entries: the user's cache, or the working area inside of a root.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    exec: Exec,
}

impl Cache {
    /// The user's cache: `$XDG_CACHE_HOME/dmasan`, else `~/.cache/dmasan`.
    pub fn open(exec: &Exec) -> Result<Self> {
        Self::at(exec, &default_root()?)
    }

    /// A cache in a folder, which is made if need be.
    pub fn at(exec: &Exec, root: &Path) -> Result<Self> {
        if !exec.dry_run {
            std::fs::create_dir_all(root).map_err(|e| {
                Error::usage(format!("cannot create the cache folder {}", root.display()))
                    .because(e)
                    .help("point XDG_CACHE_HOME at a folder that you may write to")
            })?;
        }
        Ok(Self {
            root: root.to_owned(),
            exec: exec.clone(),
        })
    }

    /// Where the entries are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry of a kind with a key; nothing is made yet.
    pub fn entry(&self, kind: &str, key: &Key) -> Entry {
        Entry {
            dir: self.root.join(kind).join(key.short()),
            exec: self.exec.clone(),
        }
    }
}

/// The user's cache folder, whether it exists or not.
pub fn default_root() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    // The XDG specification wants relative paths ignored.
    let xdg = set("XDG_CACHE_HOME").map(PathBuf::from);
    let base = match xdg.filter(|p| p.is_absolute()) {
        Some(dir) => dir,
        None => match set("HOME") {
            Some(home) => PathBuf::from(home).join(".cache"),
            None => {
                return Err(Error::usage("neither XDG_CACHE_HOME nor HOME is set")
                    .help("set XDG_CACHE_HOME to a folder for about 8 GB of cached builds"))
            }
        },
    };
    Ok(base.join("dmasan"))
}

/// One directory of a cache.
#[derive(Clone, Debug)]
pub struct Entry {
    dir: PathBuf,
    exec: Exec,
}

impl Entry {
    /// The directory, complete or not.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the entry can be used as it is.
    pub fn is_complete(&self) -> bool {
        self.dir.join(MARKER).is_file()
    }

    /// Returns the directory, after making it if it is not complete. `what` is how messages name it.
    ///
    /// A dry run calls `make` on an entry that is missing, with a directory that does not exist.
    pub fn get_or_make(
        &self,
        what: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        if self.is_complete() {
            return Ok(self.dir.clone());
        }
        if self.exec.dry_run {
            make(&self.dir)?;
            return Ok(self.dir.clone());
        }
        let parent = self.dir.parent().expect("entries are inside of a cache");
        std::fs::create_dir_all(parent).map_err(io("cannot create", parent))?;
        let _lock = self.lock(what)?;
        if self.is_complete() {
            return Ok(self.dir.clone()); // made while we waited
        }
        if self.dir.exists() {
            let text = format!("{what}: an earlier run did not finish it; it is made anew");
            self.exec.ui.note(&text);
            remove_tree(&self.dir)?;
        }
        std::fs::create_dir(&self.dir).map_err(io("cannot create", &self.dir))?;
        let begun = Instant::now();
        make(&self.dir)?;
        check()?;
        self.mark(what, begun.elapsed())?;
        Ok(self.dir.clone())
    }

    fn lock(&self, what: &str) -> Result<Flock<File>> {
        let path = self.dir.with_extension("lock");
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).map_err(io("cannot open", &path))?;
        let mut waiting = None;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(signed(lock)),
                Err((file, nix::errno::Errno::EWOULDBLOCK | nix::errno::Errno::EINTR)) => file,
                Err((_, e)) => {
                    return Err(Error::failed(format!("cannot lock {}", path.display())).because(e))
                }
            };
            if waiting.is_none() {
                let who = holder(&mut file);
                let text = format!("waiting for another dmasan{who}, which makes the {what}");
                waiting = Some(self.exec.ui.step(&text));
            }
            check()?;
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Writes the marker: to a temporary name, synced, then renamed.
    fn mark(&self, what: &str, took: Duration) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let text = serde_json::json!({
            "what": what,
            "when": now.map_or(0, |d| d.as_secs()),
            "seconds": took.as_secs_f64().round(),
        });
        let temporary = self.dir.join("complete.new");
        let marker = self.dir.join(MARKER);
        // What the maker wrote must be on the disk before the marker is: a power cut must not leave a marker
        // beside empty files. One sync of this file system is cheaper than one per file.
        sync_fs(&self.dir)?;
        let mut file = File::create(&temporary).map_err(io("cannot write", &temporary))?;
        writeln!(file, "{text}").map_err(io("cannot write", &temporary))?;
        file.sync_all().map_err(io("cannot write", &temporary))?;
        std::fs::rename(&temporary, &marker).map_err(io("cannot write", &marker))?;
        let secs = duration(took);
        if self.exec.ui.verbose > 0 {
            self.exec
                .ui
                .note(&format!("{what}: kept in {} ({secs})", self.dir.display()));
        }
        Ok(())
    }
}

fn sync_fs(dir: &Path) -> Result<()> {
    let file = File::open(dir).map_err(io("cannot open", dir))?;
    nix::unistd::syncfs(&file)
        .map_err(|e| Error::failed(format!("cannot sync {}", dir.display())).because(e))
}

/// Leaves our process id in the lock file, for the message of those who wait.
fn signed(mut lock: Flock<File>) -> Flock<File> {
    let id = std::process::id();
    // Only for a message: not being able to say it is no reason to fail.
    let _ = lock.set_len(0);
    let _ = lock.rewind();
    let _ = write!(lock, "{id}");
    lock
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.rewind();
    let _ = file.take(20).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(id) => format!(" (process {id})"),
        Err(_) => String::new(),
    }
}

/// Deletes a directory tree, unless something is mounted inside.
pub fn remove_tree(dir: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let real = dir.canonicalize().map_err(io("cannot open", dir))?;
    let inside = mounts
        .lines()
        .filter_map(|l| l.split(' ').nth(4))
        .find(|m| Path::new(m).starts_with(&real));
    if let Some(mount) = inside {
        return Err(Error::failed(format!(
            "{} cannot be deleted: {mount} is mounted inside",
            dir.display()
        ))
        .help(format!("unmount it first: umount -R {mount}")));
    }
    std::fs::remove_dir_all(dir).map_err(io("cannot delete", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::{Color, Ui};

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let exec = Exec::new(Ui::new(0, Color::Never), false);
        let cache = Cache::at(&exec, dir.path()).unwrap();
        (dir, cache)
    }

    #[test]
    fn keys_are_stable_and_keep_parts_apart() {
        let key = Key::new("x").with("a", "1");
        assert_eq!(key, Key::new("x").with("a", "1"));
        assert_eq!(key.short().len(), 16);
        // A change of this value would make every user build everything anew.
        assert_eq!(Key::new("x").short(), "0cb86eeabd13517e");
        assert_ne!(key, Key::new("x").with("a1", ""));
        assert_ne!(key, Key::new("xa").with("", "1"));
        assert_ne!(
            Key::new("x").with("a", "").with("b", ""),
            Key::new("x").with("b", "").with("a", "")
        );
    }

    #[test]
    fn made_once() {
        let (_dir, cache) = cache();
        let entry = cache.entry("k", &Key::new("x"));
        let path = entry
            .get_or_make("thing", |d| {
                std::fs::write(d.join("f"), "1").map_err(io("w", d))
            })
            .unwrap();
        assert_eq!(std::fs::read_to_string(path.join("f")).unwrap(), "1");
        let again = entry
            .get_or_make("thing", |_| panic!("made twice"))
            .unwrap();
        assert_eq!(again, path);
    }

    #[test]
    fn a_half_written_entry_is_redone() {
        let (_dir, cache) = cache();
        let entry = cache.entry("k", &Key::new("x"));
        let half = |d: &Path| {
            std::fs::write(d.join("half"), "").unwrap();
            Err(Error::failed("killed"))
        };
        assert!(entry.get_or_make("thing", half).is_err());
        assert!(entry.dir().join("half").exists() && !entry.is_complete());
        let path = entry.get_or_make("thing", |_| Ok(())).unwrap();
        assert!(!path.join("half").exists());
        assert!(entry.is_complete());
    }

    #[test]
    fn a_second_maker_waits() {
        let (_dir, cache) = cache();
        let entry = cache.entry("k", &Key::new("x"));
        let other = entry.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let first = std::thread::spawn(move || {
            other.get_or_make("thing", |_| {
                tell.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(300));
                Ok(())
            })
        });
        told.recv().unwrap();
        let begun = Instant::now();
        entry
            .get_or_make("thing", |_| panic!("made twice"))
            .unwrap();
        assert!(begun.elapsed() > Duration::from_millis(150));
        first.join().unwrap().unwrap();
    }
}
