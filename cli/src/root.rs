// SPDX-License-Identifier: GPL-2.0-only
//! The environment in which kernels are built and guests run: the host itself, or a Debian root of our own.
//!
//! A root is entered in mount and pid namespaces of its own, so nothing stays mounted or running whatever
//! happens to us. A container that allows neither is entered by a plain `chroot`: there is no /proc inside
//! then, and the one thing that a kernel build reads there gets a stand-in file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::cache::{Cache, Key};
use crate::error::{io, Error, Result};
use crate::exec::{Cmd, Exec, Place};
use crate::{bootstrap, extend, host};

/// Name of the working area inside of a root.
const WORK: &str = "dmasan";

/// Where the kernel tree in use is, as commands in a root see it. Trees are folders named by their content; with that
/// name in the paths nothing that ccache has from one tree would be found for the next.
const LINUX: &str = "/linux";

/// Enters a root: $1 root, $2 folder inside, $3 kernel tree or nothing, then the command.
const ENTER: &str = "r=$1 d=$2 t=$3; shift 3; mount -t proc proc \"$r/proc\" && \
{ [ -z \"$t\" ] || mount --bind \"$t\" \"$r/linux\"; } && \
mount --rbind /dev \"$r/dev\" && exec chroot \"$r\" sh -c 'cd \"$0\" && exec \"$@\"' \"$d\" \"$@\"";

/// Variables that are passed on to commands inside.
const PASSED: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Variables that the host's own tools need to find each other (rustup).
const PASSED_ON_HOST: &[&str] = &[
    "PATH",
    "HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
];

/// Where builds and guests run.
#[derive(Clone, Debug)]
pub struct Env {
    kind: Kind,
    work: PathBuf,
    key: Key,
    arch: Arch,
    /// Host path of the kernel tree that commands see in [`LINUX`].
    tree: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum Kind {
    Host,
    Root { path: PathBuf, isolated: bool },
}

impl Env {
    /// Finds or makes the environment, as the user chose or as suits the host, for guests of an architecture.
    pub fn prepare(exec: &Exec, cache: &Cache, arch: Arch) -> Result<Env> {
        let foreign = !arch.packages().is_empty();
        match exec.place {
            Place::Host if foreign => Err(only_in_root(arch)),
            Place::Host => Self::host(exec, cache),
            Place::Auto if !foreign && host::suffices(&host::tools(exec)) => {
                Self::host(exec, cache)
            }
            Place::Root | Place::Auto => Self::root(exec, cache, arch),
        }
    }

    fn host(exec: &Exec, cache: &Cache) -> Result<Env> {
        let tools = host::tools(exec);
        let lacking: Vec<_> = tools.iter().filter(|t| !t.ok).map(|t| t.name).collect();
        if !lacking.is_empty() {
            let text = format!("the host lacks, or has too old: {}", lacking.join(", "));
            return Err(Error::usage(text).help(format!(
                "on Debian 13: sudo apt-get install {}; elsewhere use --env root",
                host::PACKAGES.join(" ")
            )));
        }
        let mut key = Key::new("host");
        for tool in tools {
            key = key.with(tool.name, tool.found.unwrap_or_default());
        }
        let work = cache.root().join("host").join(key.short());
        make_dir(exec, &work)?;
        Ok(Env {
            kind: Kind::Host,
            work,
            key,
            arch: Arch::X86_64,
            tree: None,
        })
    }

    fn root(exec: &Exec, cache: &Cache, arch: Arch) -> Result<Env> {
        if !host::is_root() && !exec.dry_run {
            return Err(not_root());
        }
        let isolated = host::can_isolate(exec);
        let entry = cache.entry("root", &bootstrap::key());
        let path = entry
            .get_or_make("build environment", |dir| {
                bootstrap::make(exec, &dir.join("root"), isolated)
            })?
            .join("root");
        let base = Env::of_root(exec, path, isolated, arch)?;
        if arch.packages().is_empty() {
            return Ok(base);
        }
        let key = bootstrap::key().with("for", arch.packages().join(" "));
        let what = format!("build environment for {}", arch.name());
        let path = cache.entry("root", &key).get_or_make(&what, |dir| {
            let path = dir.join("root");
            extend::copy(exec, &base, &path)?;
            let env = Env::of_root(exec, path, isolated, arch)?;
            extend::install(exec, &env)
        })?;
        Env::of_root(exec, path.join("root"), isolated, arch)
    }

    /// The environment that a root is.
    fn of_root(exec: &Exec, path: PathBuf, isolated: bool, arch: Arch) -> Result<Env> {
        let work = path.join(WORK);
        let status = std::fs::read(path.join("var/lib/dpkg/status")).unwrap_or_default();
        let key = bootstrap::key().with("installed", status);
        if !exec.dry_run {
            make_dir(exec, &work)?;
            make_dir(exec, &path.join(LINUX.trim_start_matches('/')))?;
            copy_resolver(&path);
            if !isolated {
                bootstrap::stand_ins(exec, &path)?;
            }
        }
        Ok(Env {
            kind: Kind::Root { path, isolated },
            work,
            key,
            arch,
            tree: None,
        })
    }

    /// The same with a kernel tree in a place of its own, where there are mounts of our own.
    #[must_use]
    pub fn with_tree(&self, tree: &Path) -> Env {
        let is_isolated = matches!(self.kind, Kind::Root { isolated: true, .. });
        Env {
            tree: is_isolated.then(|| tree.to_owned()),
            ..self.clone()
        }
    }

    /// A command that runs inside, in the top folder.
    pub fn cmd(&self, prog: &str) -> Cmd {
        self.cmd_in(Path::new("/"), prog)
    }

    /// A command that runs in a folder; `dir` is a path as seen inside.
    pub fn cmd_in(&self, dir: &Path, prog: &str) -> Cmd {
        let cmd = match &self.kind {
            Kind::Host => Cmd::new(prog).dir(dir),
            Kind::Root { path, isolated } if *isolated => Cmd::new("unshare")
                .args(host::ISOLATE)
                .args(["sh", "-c", ENTER, "sh"])
                .arg(path)
                .arg(dir)
                .arg(self.tree.as_deref().unwrap_or(Path::new("")))
                .arg(prog),
            Kind::Root { path, .. } => Cmd::new("chroot")
                .arg(path)
                .args(["sh", "-c", "cd \"$0\" && exec \"$@\""])
                .arg(dir)
                .arg(prog),
        };
        self.with_variables(cmd.name(prog))
    }

    /// Only what is named here is seen inside: a stray MAKEFLAGS or RUSTFLAGS would change the build.
    fn with_variables(&self, cmd: Cmd) -> Cmd {
        let mut variables: Vec<(&str, OsString)> = vec![
            ("LC_ALL", "C".into()),
            ("TERM", "dumb".into()),
            ("DEBIAN_FRONTEND", "noninteractive".into()),
        ];
        let mut pass = |names: &[&'static str]| {
            for name in names {
                variables.extend(std::env::var_os(name).map(|v| (*name, v)));
            }
        };
        pass(PASSED);
        match self.kind {
            Kind::Host => pass(PASSED_ON_HOST),
            Kind::Root { .. } => {
                // First the links to ccache: most objects stay the same when somebody changes a kernel.
                let path =
                    "/usr/lib/ccache:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
                variables.push(("PATH", path.into()));
                variables.push(("HOME", "/root".into()));
            }
        }
        variables
            .into_iter()
            .fold(cmd.clean(), |cmd, (k, v)| cmd.env(k, v))
    }

    /// Host path of the working area: kernel trees, builds, guest runs.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The cache inside of the working area.
    pub fn cache(&self, exec: &Exec) -> Result<Cache> {
        Cache::at(exec, &self.work)
    }

    /// The path of a file of the working area as commands inside see it.
    pub fn inside(&self, host: &Path) -> PathBuf {
        let tree = self.tree.as_deref();
        if let Some(rest) = tree.and_then(|tree| host.strip_prefix(tree).ok()) {
            return Path::new(LINUX).join(rest);
        }
        match &self.kind {
            Kind::Host => host.to_owned(),
            Kind::Root { path, .. } => match host.strip_prefix(path) {
                Ok(rest) => Path::new("/").join(rest),
                Err(_) => host.to_owned(),
            },
        }
    }

    /// The host path of a file that commands inside know by `path`.
    pub fn outside(&self, path: &str) -> PathBuf {
        match &self.kind {
            Kind::Host => PathBuf::from(path),
            Kind::Root { path: root, .. } => root.join(path.trim_start_matches('/')),
        }
    }

    /// The architecture of its guests.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Identity of the tools inside.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether this is the host itself.
    pub fn is_host(&self) -> bool {
        matches!(self.kind, Kind::Host)
    }
}

/// Lets the root resolve names like the host, whose resolver may have changed since the last run.
fn copy_resolver(root: &Path) {
    // A host without the file has no network anyway; what then fails says so itself.
    if let Ok(text) = std::fs::read("/etc/resolv.conf") {
        let path = root.join("etc/resolv.conf");
        // Never through a symbolic link: it would lead to a file of the host.
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::write(&path, text);
    }
}

fn make_dir(exec: &Exec, dir: &Path) -> Result<()> {
    if exec.dry_run {
        return Ok(());
    }
    std::fs::create_dir_all(dir).map_err(io("cannot create", dir))
}

fn only_in_root(arch: Arch) -> Error {
    let name = arch.name();
    Error::usage(format!("guests of {name} do not run with the host's own tools"))
        .help(format!("its busybox cannot be installed beside the host's: leave out --env host, so that a Debian root of our own is used, with {}", arch.packages().join(", ")))
}

fn not_root() -> Error {
    Error::usage("the build environment, a Debian root of our own, can only be made and entered by root")
        .help(format!(
            "run: {}\nor install what is needed on the host itself (Debian 13): sudo apt-get install {}",
            host::as_root(),
            host::PACKAGES.join(" ")
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(isolated: bool) -> Env {
        let path = PathBuf::from("/c/root");
        Env {
            work: path.join(WORK),
            kind: Kind::Root { path, isolated },
            key: Key::new("t"),
            arch: Arch::default(),
            tree: None,
        }
    }

    #[test]
    fn paths_go_in_and_out() {
        let env = env(true);
        assert_eq!(
            env.inside(Path::new("/c/root/dmasan/x")),
            Path::new("/dmasan/x")
        );
        assert_eq!(
            env.outside("/bin/busybox"),
            Path::new("/c/root/bin/busybox")
        );
    }

    #[test]
    fn trees_have_one_place() {
        let tree = Path::new("/c/root/dmasan/tree/0123/linux");
        let env = env(true).with_tree(tree);
        assert_eq!(env.inside(&tree.join("mm")), Path::new("/linux/mm"));
        let work = Path::new("/c/root/dmasan/kernel");
        assert_eq!(env.inside(work), Path::new("/dmasan/kernel"));
        let text = env.cmd("make").to_shell();
        assert!(
            text.ends_with(" /c/root / /c/root/dmasan/tree/0123/linux make"),
            "{text}"
        );
        let env = self::env(false).with_tree(tree);
        assert_eq!(env.inside(tree), Path::new("/dmasan/tree/0123/linux"));
    }

    #[test]
    fn nothing_leaks_in() {
        let text = env(false).cmd("make").arg("all").to_shell();
        assert!(text.starts_with("env -i "), "{text}");
        assert!(text.contains(" HOME=/root "), "{text}");
        let end = "chroot /c/root sh -c 'cd \"$0\" && exec \"$@\"' / make all";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn isolated_means_own_namespaces() {
        let text = env(true).cmd("true").to_shell();
        assert!(
            text.contains("unshare --mount --pid --fork --kill-child"),
            "{text}"
        );
    }
}
