// SPDX-License-Identifier: GPL-2.0-only
//! Modules that the user names: building folders, checking ready files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::Key;
use crate::error::{io, Error, Exit, Result};
use crate::exec::Exec;
use crate::guest::Load;
use crate::kernel::Kernel;
use crate::params;
use crate::request::Request;
use crate::root::Env;
use crate::sources;

/// Says what can be known to be wrong with a request before there is a kernel.
pub fn check(request: &Request) -> Result<()> {
    let path = &request.path;
    if !path.is_dir() {
        if path.extension().is_some_and(|e| e == "ko") {
            return params::check(path, &request.params);
        }
        return Err(
            Error::usage(format!("`{}` is not a module", path.display()))
                .help("a module is a folder with a Kbuild or Makefile, or a .ko file"),
        );
    }
    if ["Kbuild", "Makefile"]
        .iter()
        .any(|f| path.join(f).is_file())
    {
        return Ok(());
    }
    let name = folder_name(path);
    Err(Error::usage(format!(
        "the module folder `{}` has neither a Kbuild nor a Makefile",
        path.display()
    ))
    .help(format!(
        "the kernel's build wants one with a line such as `obj-m := {name}.o`"
    )))
}

/// Gets the module files of a request ready for a kernel: a folder is built, a file is checked.
pub fn prepare(exec: &Exec, env: &Env, kernel: &Kernel, request: &Request) -> Result<Vec<Load>> {
    let path = &request.path;
    // A dry run has not written the tool's own modules to where they are built from.
    let assumed = exec.dry_run && !path.exists();
    if !assumed {
        check(request)?;
    }
    let files = if path.is_dir() || assumed {
        build(exec, env, kernel, path)?
    } else {
        check_version(exec, kernel, path)?;
        vec![path.clone()]
    };
    if files.len() > 1 && !request.params.is_empty() {
        let names: Vec<_> = files.iter().map(|f| file_name(f)).collect();
        let error = Error::usage(format!(
            "`{}` builds several modules ({})",
            path.display(),
            names.join(", ")
        ));
        return Err(error
            .help("parameters can be given only to a folder with one module, or to a .ko file"));
    }
    // A dry run has nothing built that could be read.
    for file in files.iter().filter(|f| f.exists()) {
        params::check(file, &request.params)?;
    }
    let name = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let load = |file| Load {
        file,
        params: request.params.clone(),
        path: name.display().to_string(),
    };
    Ok(files.into_iter().map(load).collect())
}

/// Builds a module folder against a kernel, in a copy: nothing is written to the folder itself.
fn build(exec: &Exec, env: &Env, kernel: &Kernel, folder: &Path) -> Result<Vec<PathBuf>> {
    let name = folder_name(folder);
    let sources = match folder.exists() {
        true => sources::read(folder)?,
        false => Vec::new(),
    };
    let cache = env.cache(exec)?;
    let mut key = Key::new("module")
        .with("kernel", kernel.dir.as_os_str().as_encoded_bytes())
        .with("env", env.key().hex());
    for source in &sources {
        key = key.with(&source.path.display().to_string(), &source.content);
    }
    let entry = cache.entry("modules", &key);
    let what = format!("module {name}");
    let dir = entry.get_or_make(&what, |dir| {
        let copy = dir.join("src");
        sources::copy(exec, folder, &sources, &copy)?;
        compile(exec, env, kernel, &name, &copy)?;
        // A build without a module is not to be kept as one.
        if exec.dry_run {
            return Ok(());
        }
        built(&copy, folder).map(drop)
    })?;
    if exec.dry_run && !entry.is_complete() {
        return Ok(vec![dir.join("src").join(format!("{name}.ko"))]);
    }
    built(&dir.join("src"), folder)
}

/// Compiles the modules of a folder, in the folder itself.
pub fn compile(exec: &Exec, env: &Env, kernel: &Kernel, name: &str, copy: &Path) -> Result<()> {
    let step = exec.ui.step(&format!(
        "Building module {name} for Linux {}",
        kernel.release
    ));
    let make = env
        .with_tree(&kernel.source)
        .cmd("make")
        .arg("-C")
        .arg(env.inside(&kernel.dir))
        .arg(format!("M={}", env.inside(copy).display()))
        .args(kernel_variables(kernel))
        .arg("modules")
        .name("make modules");
    let log = copy.with_file_name("build.log");
    let log = (!exec.dry_run).then_some(log.as_path());
    exec.run(&make, log).map_err(|e| {
        if e.exit() == Exit::Interrupted {
            return e;
        }
        e.context(format!("module {name} does not compile"))
            .help("mend the module; the lines above are from the compiler")
    })?;
    step.done("");
    Ok(())
}

/// Modules have to be made for the architecture, and with the compiler, that the kernel was made for and with.
fn kernel_variables(kernel: &Kernel) -> Vec<&'static str> {
    let config = fs::read_to_string(kernel.dir.join(".config")).unwrap_or_default();
    let mut variables = kernel.arch.make().to_vec();
    if config.lines().any(|l| l == "CONFIG_CC_IS_CLANG=y") {
        variables.push("LLVM=1");
    }
    variables
}

/// The files that a build left, in the order in which the folder names them.
fn built(copy: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let order = fs::read_to_string(copy.join("modules.order")).unwrap_or_default();
    let names = order.lines().filter_map(|l| Path::new(l).file_stem());
    let mut files = Vec::new();
    for name in names {
        let found = find_file(copy, &format!("{}.ko", name.to_string_lossy()));
        files.extend(found);
    }
    if files.is_empty() {
        return Err(
            Error::failed(format!("building `{}` gave no module", folder.display()))
                .help("its Kbuild or Makefile needs a line such as `obj-m := name.o`"),
        );
    }
    Ok(files)
}

fn find_file(dir: &Path, name: &str) -> Option<PathBuf> {
    let here = dir.join(name);
    if here.is_file() {
        return Some(here);
    }
    let entries = fs::read_dir(dir).ok()?.flatten();
    let dirs = entries.map(|e| e.path()).filter(|p| p.is_dir());
    dirs.into_iter().find_map(|d| find_file(&d, name))
}

/// A ready `.ko` has to be made for this very kernel; better said here than by the guest.
fn check_version(exec: &Exec, kernel: &Kernel, file: &Path) -> Result<()> {
    let content = fs::read(file).map_err(io("cannot read", file))?;
    let Some(magic) = vermagic(&content) else {
        return Err(Error::usage(format!(
            "`{}` is no kernel module: it has no vermagic",
            file.display()
        ))
        .help("give the .ko file that a kernel build made, or the module's folder"));
    };
    let release = magic.split(' ').next().unwrap_or("");
    // A dry run does not know the release of a kernel that is not built yet.
    if !exec.dry_run && release != kernel.release {
        return Err(Error::failed(format!(
            "`{}` is made for Linux {release}, the guest runs {}",
            file.display(),
            kernel.release
        ))
        .help("give the module's folder instead, so that it is built for this kernel"));
    }
    Ok(())
}

fn vermagic(content: &[u8]) -> Option<String> {
    const LABEL: &[u8] = b"vermagic=";
    let at = content.windows(LABEL.len()).position(|w| w == LABEL)? + LABEL.len();
    let value = content[at..].split(|b| *b == 0).next()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The last part of a path.
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn folder_name(folder: &Path) -> String {
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    file_name(&real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vermagic_is_found_in_the_bytes() {
        let content = b"\x7fELF\0license=GPL\0vermagic=6.1.0-5 SMP mod_unload \0name=x\0";
        assert_eq!(vermagic(content).unwrap(), "6.1.0-5 SMP mod_unload ");
        assert_eq!(vermagic(b"\x7fELF"), None);
    }
}
