// SPDX-License-Identifier: GPL-2.0-only
//! Building one module of the kernel's source anew, as it is or with a patch, against a kernel that is built already.
//!
//! The module's folder is built as a module of its own, in a copy. The copy has the same path below a new root, and
//! whatever is not changed is a link to the kernel's source, so that includes such as `../core.h` find their way.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::error::{io, Error, Exit, Result};
use crate::exec::Exec;
use crate::kernel::Kernel;
use crate::module;
use crate::root::Env;

use super::file::Mutant;

/// What is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The module without the bug.
    Twin,
    /// The module with it.
    Mutant,
}

/// Why there is no module.
#[derive(Debug)]
pub enum Failure {
    /// The patch does not fit the source; with what `patch` says.
    Apply(String),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Other(error)
    }
}

/// Builds the module of a mutant, unless it is there already, and returns its file.
pub fn build(
    exec: &Exec,
    env: &Env,
    kernel: &Kernel,
    mutant: &Mutant,
    kind: Kind,
) -> std::result::Result<PathBuf, Failure> {
    let (folder, name) = mutant.folder_and_module();
    let key = Key::new("mutant")
        .with("kernel", kernel.dir.as_os_str().as_encoded_bytes())
        .with("env", env.key().hex())
        .with("kbuild", kbuild(mutant))
        .with("renamed", mutant.instead_of.as_deref().unwrap_or_default())
        .with("module", &mutant.module);
    let key = match kind {
        // All mutants of a module have the same twin.
        Kind::Twin => key,
        Kind::Mutant => key.with("patch", mutant.patch),
    };
    let what = match kind {
        Kind::Twin => format!("module {name}, as it is"),
        Kind::Mutant => format!("module {name} with the bug {}", mutant.bug),
    };
    let mut refused = None;
    let entry = env.cache(exec)?.entry("mutants", &key);
    let made = entry.get_or_make(&what, |dir| {
        lay_out(exec, env, &kernel.source, dir, mutant)?;
        if kind == Kind::Mutant {
            apply(exec, env, dir, mutant).inspect_err(|error| {
                refused = (error.exit() != Exit::Interrupted).then(|| reason(error));
            })?;
        }
        module::compile(exec, env, kernel, name, &dir.join(SRC).join(folder))
    });
    match (made, refused) {
        (Ok(dir), _) => Ok(dir
            .join(SRC)
            .join(folder)
            .join(format!("{}.ko", built(mutant)))),
        (Err(_), Some(reason)) => Err(Failure::Apply(reason)),
        (Err(error), None) => Err(Failure::Other(error)),
    }
}

/// The copy's root, in its folder of the cache.
const SRC: &str = "src";

/// Makes the copy in `dir`: what the patch will change is a file of its own.
pub fn lay_out(exec: &Exec, env: &Env, source: &Path, dir: &Path, mutant: &Mutant) -> Result<()> {
    if exec.dry_run {
        return Ok(());
    }
    let (folder, _) = mutant.folder_and_module();
    let root = dir.join(SRC);
    mirror(source, &root, folder, &|path| env.inside(path))?;
    for path in mutant.changes() {
        own(source, &root, path)?;
        if let Some(init) = &mutant.instead_of {
            rename(&root.join(path), init)?;
        }
    }
    let file = root.join(folder).join("Kbuild");
    // A link to the tree's own would be written through.
    remove(&file)?;
    fs::write(&file, kbuild(mutant)).map_err(io("cannot write", &file))
}

/// Applies the patch to a copy.
pub fn apply(exec: &Exec, env: &Env, dir: &Path, mutant: &Mutant) -> Result<()> {
    let file = dir.join("mutant.patch");
    if !exec.dry_run {
        fs::write(&file, mutant.patch).map_err(io("cannot write", &file))?;
    }
    // Without fuzz: a bug in another place would be another bug.
    let cmd = env
        .cmd_in(&env.inside(&dir.join(SRC)), "patch")
        .args(["-p1", "--batch", "--forward", "--fuzz=0", "-i"])
        .arg(env.inside(&file));
    exec.run(&cmd, None)
}

/// One module only, with the flags and objects of the folder's own file.
fn kbuild(mutant: &Mutant) -> String {
    let (folder, name) = mutant.folder_and_module();
    let own = built(mutant);
    let parts = match own == name {
        true => String::new(),
        false => format!("{own}-y := $({name}-y) $({name}-objs)\n"),
    };
    format!("include $(srctree)/{folder}/Makefile\nobj-y :=\nobj-m := {own}.o\n{parts}")
}

/// The name that the module is built with. One like that of a driver inside of the kernel would be refused.
fn built(mutant: &Mutant) -> String {
    let (_, name) = mutant.folder_and_module();
    match mutant.instead_of {
        Some(_) => format!("{name}_copy"),
        None => name.to_owned(),
    }
}

/// Lays a folder of the source out below `root`: folders on the way to it are real, all else are links, as those inside of
/// the environment see them.
fn mirror(
    source: &Path,
    root: &Path,
    folder: &str,
    inside: &dyn Fn(&Path) -> PathBuf,
) -> Result<()> {
    let mut here = PathBuf::new();
    for next in Path::new(folder) {
        link_all(source, root, &here, Some(next), inside)?;
        here.push(next);
    }
    link_all(source, root, &here, None, inside)
}

fn link_all(
    source: &Path,
    root: &Path,
    here: &Path,
    but: Option<&OsStr>,
    inside: &dyn Fn(&Path) -> PathBuf,
) -> Result<()> {
    let (from, to) = (source.join(here), root.join(here));
    fs::create_dir_all(&to).map_err(io("cannot create", &to))?;
    for entry in fs::read_dir(&from).map_err(io("cannot read", &from))? {
        let name = entry.map_err(io("cannot read", &from))?.file_name();
        if Some(name.as_os_str()) != but {
            let link = to.join(&name);
            symlink(inside(&from.join(&name)), &link).map_err(io("cannot link", &link))?;
        }
    }
    Ok(())
}

/// Replaces a link by a copy that can be changed.
fn own(source: &Path, root: &Path, path: &str) -> Result<()> {
    let (from, to) = (source.join(path), root.join(path));
    remove(&to)?;
    match fs::copy(&from, &to) {
        Ok(_) => Ok(()),
        // `patch` says it better.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io("cannot copy", &from)(e)),
    }
}

/// Renames a function in a file of the copy: the kernel is told by its name not to call it.
fn rename(file: &Path, function: &str) -> Result<()> {
    let text = fs::read_to_string(file).map_err(io("cannot read", file))?;
    fs::write(file, renamed(&text, function)).map_err(io("cannot write", file))
}

fn renamed(text: &str, function: &str) -> String {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut done = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(function) {
        let (before, from) = rest.split_at(at);
        let after = &from[function.len()..];
        done.push_str(before);
        done.push_str(function);
        if !before.ends_with(of_name) && !after.starts_with(of_name) {
            done.push_str("_copy");
        }
        rest = after;
    }
    done + rest
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io("cannot delete", path)(e)),
        _ => Ok(()),
    }
}

/// What went wrong, in one text.
fn reason(error: &Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    source
        .unwrap_or_else(|| error.to_string())
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_builtin_driver_has_names_of_its_own() {
        let all = Mutant::all().unwrap();
        let of = |name: &str| kbuild(all.iter().find(|m| m.driver == name).unwrap());
        let e1000 = "include $(srctree)/drivers/net/ethernet/intel/e1000/Makefile\nobj-y :=\nobj-m := e1000.o\n";
        assert_eq!(of("e1000"), e1000);
        let nvme = of("nvme");
        assert!(
            nvme.contains("obj-m := nvme_copy.o\nnvme_copy-y := $(nvme-y) $(nvme-objs)\n"),
            "{nvme}"
        );
        let text = "static int nvme_init(void);\nmodule_init(nvme_init);\nnvme_init_ctrl(); x_nvme_init();";
        assert_eq!(
            renamed(text, "nvme_init"),
            "static int nvme_init_copy(void);\nmodule_init(nvme_init_copy);\nnvme_init_ctrl(); x_nvme_init();"
        );
    }

    #[test]
    fn a_copy_has_real_folders_only_where_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let (source, root) = (dir.path().join("linux"), dir.path().join("src"));
        for file in ["a/b/x.c", "a/b/sub/y.h", "a/c/z.h", "top.h"] {
            let path = source.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        mirror(&source, &root, "a/b", &|path| path.to_owned()).unwrap();
        let is_link = |path: &str| root.join(path).is_symlink();
        assert!(!is_link("a") && !is_link("a/b"));
        assert!(is_link("top.h") && is_link("a/c") && is_link("a/b/x.c") && is_link("a/b/sub"));
        assert_eq!(
            fs::read_to_string(root.join("a/b/../c/z.h")).unwrap(),
            "a/c/z.h"
        );
        own(&source, &root, "a/b/x.c").unwrap();
        fs::write(root.join("a/b/x.c"), "changed").unwrap();
        assert_eq!(
            fs::read_to_string(source.join("a/b/x.c")).unwrap(),
            "a/b/x.c"
        );
    }
}
