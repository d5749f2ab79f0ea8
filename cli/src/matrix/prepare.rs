// SPDX-License-Identifier: GPL-2.0-only
//! What cells need before they can run: an environment for each architecture, and their kernels, one after the other.

use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::boot::Host;
use crate::cache::Cache;
use crate::cell::{Cell, Outcome};
use crate::error::{Error, Exit, Result};
use crate::exec::Exec;
use crate::host;
use crate::kernel::{self, Kernel};
use crate::matrix::catalog::KernelId;
use crate::matrix::results::KernelUsed;
use crate::matrix::runner;
use crate::root::Env;
use crate::ui::duration;

/// What a kernel takes on two cores, if none was built here yet.
pub const BUILD_SECONDS: u64 = 500;

/// Everything that is ready, or why it is not.
#[derive(Debug, Default)]
pub struct Prepared {
    /// By architecture, as all of these.
    hosts: BTreeMap<&'static str, Host>,
    /// Why there is no host.
    lacking: BTreeMap<&'static str, Outcome>,
    /// Versions of QEMU.
    qemu: BTreeMap<&'static str, String>,
    kernels: BTreeMap<KernelId, std::result::Result<KernelUsed, Outcome>>,
}

/// Whether this QEMU is too old for a cell's machine.
fn too_old(cell: &Cell, qemu: Option<&str>) -> Option<Outcome> {
    let model = match cell.model() {
        Ok(model) => model,
        Err(error) => return Some(Outcome::not_run(&error)),
    };
    let error = model.check_qemu(qemu?).err()?;
    Some(Outcome::Impossible(error.to_string()))
}

impl Prepared {
    /// Prepares the environments of cells, and looks at their QEMU.
    pub fn hosts(exec: &Exec, cache: &Cache, cells: &[&Cell]) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        for arch in [Arch::X86_64, Arch::Arm64] {
            let wants = |c: &&&Cell| c.model().is_ok_and(|m| m.arch == arch);
            if cells.iter().any(|c| wants(&c)) {
                match kept_going(ready(exec, cache, arch))? {
                    Ok((host, qemu)) => {
                        prepared.hosts.insert(arch.name(), host);
                        prepared.qemu.extend(qemu.map(|v| (arch.name(), v)));
                    }
                    Err(outcome) => drop(prepared.lacking.insert(arch.name(), outcome)),
                }
            }
        }
        Ok(prepared)
    }

    /// Why a cell is not run, as far as that is known without its kernel.
    pub fn before_kernel(&self, cell: &Cell) -> Option<Outcome> {
        let lacking = self.lacking.get(arch(cell));
        lacking
            .cloned()
            .or_else(|| too_old(cell, self.qemu_of(cell)))
    }

    /// Builds the kernels of cells. A kernel that cannot be built keeps its own cells from running, and no others.
    pub fn build(&mut self, exec: &Exec, cells: &[&Cell], no_build: bool) -> Result<()> {
        let mut wanted: BTreeMap<KernelId, &Cell> = BTreeMap::new();
        for cell in cells {
            wanted.entry(KernelId::of(cell)).or_insert(cell);
        }
        let missing = self.missing(exec, &wanted)?;
        if !missing.is_empty() && !no_build && !exec.dry_run {
            let names: Vec<_> = missing.iter().map(KernelId::to_string).collect();
            let each = std::time::Duration::from_secs(BUILD_SECONDS);
            exec.ui.note(&format!(
                "{} to build first, about {} each on two cores: {}",
                crate::run::count(missing.len(), "kernel"),
                duration(each),
                names.join("; ")
            ));
        }
        for (id, cell) in wanted {
            let kernel = match no_build && missing.contains(&id) {
                true => Err(Outcome::NotRun(format!(
                    "the kernel ({id}) is not built, and --no-build says not to"
                ))),
                false => self.kernel(exec, cell)?,
            };
            self.kernels
                .insert(id.clone(), kernel.map(|k| used(&id, &k)));
        }
        Ok(())
    }

    fn missing(&self, exec: &Exec, wanted: &BTreeMap<KernelId, &Cell>) -> Result<Vec<KernelId>> {
        let mut missing = Vec::new();
        for (id, cell) in wanted {
            let Some(host) = self.hosts.get(arch(cell)) else {
                continue;
            };
            // What cannot be looked up is told when it is built.
            let built = kernel::is_built(exec, &host.env, &runner::spec(cell)?);
            if !matches!(kept_going(built)?, Ok(true)) {
                missing.push(id.clone());
            }
        }
        Ok(missing)
    }

    fn kernel(&self, exec: &Exec, cell: &Cell) -> Result<std::result::Result<Kernel, Outcome>> {
        let Some(host) = self.hosts.get(arch(cell)) else {
            let why = "nothing is prepared for it".to_owned();
            return Ok(Err(Outcome::NotRun(why)));
        };
        let spec = runner::spec(cell)?;
        kept_going(kernel::build(exec, &host.cache, &host.env, &spec))
    }

    /// The kernel of a cell, or why there is none.
    pub fn kernel_of(&self, cell: &Cell) -> std::result::Result<&KernelUsed, Outcome> {
        match self.kernels.get(&KernelId::of(cell)) {
            Some(Ok(kernel)) => Ok(kernel),
            Some(Err(outcome)) => Err(outcome.clone()),
            None => Err(Outcome::NotRun("its kernel was not asked for".to_owned())),
        }
    }

    /// The version of QEMU that a cell runs on.
    pub fn qemu_of(&self, cell: &Cell) -> Option<&str> {
        self.qemu.get(arch(cell)).map(String::as_str)
    }

    /// All kernels.
    pub fn kernels(&self) -> Vec<KernelUsed> {
        self.kernels.values().flatten().cloned().collect()
    }

    /// All versions of QEMU, by architecture.
    pub fn qemu(&self) -> BTreeMap<String, String> {
        let known = self.qemu.iter();
        known
            .map(|(arch, v)| ((*arch).to_owned(), v.clone()))
            .collect()
    }
}

/// The architecture of a cell's machine.
fn arch(cell: &Cell) -> &'static str {
    cell.model().map_or("", |m| m.arch.name())
}

fn used(id: &KernelId, kernel: &Kernel) -> KernelUsed {
    KernelUsed {
        kernel: id.to_string(),
        release: kernel.release.clone(),
        key: kernel.key.clone(),
    }
}

/// An error is the reason why cells are not run; but the user's Ctrl-C ends everything.
fn kept_going<T>(result: Result<T>) -> Result<std::result::Result<T, Outcome>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.exit() == Exit::Interrupted => Err(error),
        Err(error) => Ok(Err(Outcome::not_run(&error))),
    }
}

/// The environment, and its version of QEMU.
fn ready(exec: &Exec, cache: &Cache, arch: Arch) -> Result<(Host, Option<String>)> {
    let env = Env::prepare(exec, cache, arch)?;
    let text = exec.output(&env.cmd(arch.qemu()).arg("--version").query());
    let qemu = match text {
        Ok(text) => host::version(&text).map(str::to_owned),
        // A dry run may have none yet.
        Err(_) if exec.dry_run => None,
        Err(error) => return Err(Error::failed("cannot ask QEMU for its version").because(error)),
    };
    let host = Host {
        exec: exec.clone(),
        cache: cache.clone(),
        env,
    };
    Ok((host, qemu))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cell::Kind;
    use crate::machine::Model;

    /// As if everything were there that cells need.
    pub(crate) fn ready_for(cells: &[&Cell]) -> Prepared {
        let mut prepared = Prepared::default();
        for cell in cells {
            prepared.qemu.insert(arch(cell), "10.0.2".to_owned());
            let id = KernelId::of(cell);
            let kernel = KernelUsed {
                kernel: id.to_string(),
                release: "7.3.4".to_owned(),
                key: "abcd".to_owned(),
            };
            prepared.kernels.insert(id, Ok(kernel));
        }
        prepared
    }

    #[test]
    fn an_old_qemu_is_a_reason() {
        let cell = |machine| Cell::new(Kind::Driver, "nvme", Model::find(machine).unwrap());
        let why = |machine, qemu| match too_old(&cell(machine), Some(qemu)) {
            Some(Outcome::Impossible(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(why("vtd-first-level", "9.2.1").contains("came with QEMU 10.0"));
        assert!(why("arm64-smmuv3", "8.2").contains("came with QEMU 9.1"));
        assert_eq!(too_old(&cell("vtd-first-level"), Some("10.0.2")), None);
        assert_eq!(too_old(&cell("none"), Some("8.0")), None);
    }

    #[test]
    fn an_error_is_a_reason_unless_the_user_interrupts() {
        let failed = kept_going::<()>(Err(Error::failed("no disk").help("get one")));
        assert_eq!(
            failed.unwrap().unwrap_err(),
            Outcome::NotRun("no disk\nget one".to_owned())
        );
        assert!(kept_going::<()>(Err(Error::interrupted())).is_err());
    }
}
