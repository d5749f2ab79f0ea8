// SPDX-License-Identifier: GPL-2.0-only
//! The modules that a kernel's build has left, and which others each of them needs.
//!
//! What `depmod` would tell, from the same place: the `depends=` line that the kernel's build writes into each module.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{io, Error, Result};
use crate::modinfo::{self, name_of_build};

/// The modules of a built kernel, by the names that the kernel has for them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Modules {
    /// Files of those that can be loaded.
    files: BTreeMap<String, PathBuf>,
    /// Those that are part of the kernel.
    builtin: Vec<String>,
}

impl Modules {
    /// Reads what is in a build folder (`O=`).
    pub fn read(build: &Path) -> Result<Modules> {
        let list = |name: &str| {
            let path = build.join(name);
            let text = fs::read_to_string(&path).map_err(io("cannot read", &path))?;
            let lines = text.lines().filter(|l| !l.is_empty());
            Ok(lines.map(|l| build.join(l)).collect::<Vec<_>>())
        };
        let ko = |path: PathBuf| (name_of_build(&path), path.with_extension("ko"));
        Ok(Modules {
            files: list("modules.order")?.into_iter().map(ko).collect(),
            builtin: list("modules.builtin")?
                .iter()
                .map(|p| name_of_build(p))
                .collect(),
        })
    }

    /// The file of a module; `None` if it is part of the kernel.
    pub fn find(&self, name: &str) -> Result<Option<&Path>> {
        let name = name.replace('-', "_");
        if let Some(file) = self.files.get(&name) {
            return Ok(Some(file));
        }
        if self.builtin.contains(&name) {
            return Ok(None);
        }
        let known = self.files.keys().chain(&self.builtin);
        let near = known.filter(|k| strsim::damerau_levenshtein(&name, k) <= 2);
        let near: Vec<String> = near.map(|n| format!("`{n}`")).collect();
        let error = Error::failed(format!("the kernel has no module `{name}`"));
        Err(match near.is_empty() {
            true => error.help("its configuration has to switch it on: --config FRAGMENT"),
            false => error.help(format!("did you mean {}?", near.join(" or "))),
        })
    }

    /// The files to load for some modules, in an order in which each finds what it needs; those that are part of the
    /// kernel need no loading.
    pub fn to_load(&self, names: &[String]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        for name in names {
            self.visit(name, &mut order, &mut Vec::new())?;
        }
        Ok(order)
    }

    /// `above`: the modules that have led here, to end a circle, which a sound build does not have.
    fn visit(&self, name: &str, order: &mut Vec<PathBuf>, above: &mut Vec<String>) -> Result<()> {
        let Some(file) = self.find(name)? else {
            return Ok(());
        };
        if order.iter().any(|f| f == file) {
            return Ok(());
        }
        if above.iter().any(|a| a == name) {
            let text = format!("modules need each other: {}", above.join(", "));
            return Err(Error::failed(text).help("the kernel's build is broken: build it anew"));
        }
        above.push(name.to_owned());
        let content = fs::read(file).map_err(io("cannot read", file))?;
        let needed = depends(&content).map_err(|why| {
            Error::failed(format!("`{}` is no kernel module", file.display()))
                .because(why)
                .help("the kernel's build is broken: build it anew")
        })?;
        for name in needed {
            self.visit(&name, order, above)?;
        }
        above.pop();
        order.push(file.to_owned());
        Ok(())
    }
}

/// The modules that one needs.
fn depends(content: &[u8]) -> std::result::Result<Vec<String>, String> {
    let text = modinfo::value(content, "depends")?.ok_or("no `depends` in .modinfo")?;
    let names = text.split(',').filter(|n| !n.is_empty());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modinfo::tests::module;

    fn build(modules: &[(&str, &str)]) -> (tempfile::TempDir, Modules) {
        let dir = tempfile::tempdir().unwrap();
        let mut order = String::new();
        for (path, depends) in modules {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let info = format!("license=GPL\0depends={depends}\0name=x\0");
            fs::write(file.with_extension("ko"), module(info.as_bytes())).unwrap();
            order.push_str(&format!("{path}\n"));
        }
        fs::write(dir.path().join("modules.order"), order).unwrap();
        fs::write(dir.path().join("modules.builtin"), "kernel/lib/crc32.ko\n").unwrap();
        let modules = Modules::read(dir.path()).unwrap();
        (dir, modules)
    }

    fn loads(modules: &Modules, names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let files = modules.to_load(&names).unwrap();
        files.iter().map(|f| name_of_build(f)).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let (_dir, modules) = build(&[
            ("drivers/a/top-a.o", "mid,low"),
            ("drivers/b/mid.o", "low"),
            ("lib/low.o", ""),
            ("lib/other.o", "low"),
        ]);
        assert_eq!(loads(&modules, &["top-a"]), ["low", "mid", "top_a"]);
        // The same name in both spellings, and a need that two share.
        let order = loads(&modules, &["other", "top_a", "top-a"]);
        assert_eq!(order, ["low", "other", "mid", "top_a"]);
    }

    #[test]
    fn what_is_part_of_the_kernel_is_not_loaded() {
        let (_dir, modules) = build(&[("a.o", "crc32")]);
        assert_eq!(loads(&modules, &["a", "crc32"]), ["a"]);
        assert_eq!(modules.find("crc32").unwrap(), None);
    }

    #[test]
    fn an_unknown_module_gets_the_near_ones() {
        let (_dir, modules) = build(&[("e1000.o", ""), ("b.o", "gone")]);
        let error = modules.find("e100").unwrap_err();
        assert!(error.message().contains("`e100`"), "{error}");
        assert_eq!(error.advice(), Some("did you mean `e1000`?"));
        let error = modules.to_load(&["b".to_owned()]).unwrap_err();
        assert!(error.advice().unwrap().contains("--config"), "{error}");
    }

    #[test]
    fn circles_and_broken_files_are_errors() {
        let (dir, modules) = build(&[("a.o", "b"), ("b.o", "a"), ("c.o", "")]);
        let error = modules.to_load(&["a".to_owned()]).unwrap_err();
        assert!(error.message().contains("need each other: a, b"), "{error}");
        for content in [b"no elf".to_vec(), module(b"license=GPL\0")] {
            fs::write(dir.path().join("c.ko"), content).unwrap();
            let error = modules.to_load(&["c".to_owned()]).unwrap_err();
            assert!(error.message().contains("c.ko"), "{error}");
        }
    }
}
