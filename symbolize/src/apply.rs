// SPDX-License-Identifier: GPL-2.0-only
//! Fills in the source lines of a report.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use dmasan_report::{Report, Site, SourceLine};

use crate::dwarf::{Lines, Sections};
use crate::elf::Object;
use crate::error::{Error, Reason};
use crate::identity::Verdict;
use crate::path::Roots;
use crate::table::Table;

/// The kernel and modules whose symbols are at hand.
pub struct Symbols {
    objects: Vec<Object>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames that have source lines now.
    pub resolved: usize,
    /// Frames of the given files that are not in them: a function is missing, has another size, or its name is not
    /// unique.
    pub missed: usize,
    /// Findings of another kernel in the same log, left as they are.
    pub other_kernel: usize,
}

impl Symbols {
    /// Reads the files. Modules are told apart by the names that they have in the kernel.
    pub fn open(vmlinux: Option<&Path>, modules: &[PathBuf]) -> Result<Symbols, Error> {
        let kernel = vmlinux.map(Object::kernel).into_iter();
        let modules = modules.iter().map(|path| Object::module(path));
        Ok(Symbols {
            objects: kernel.chain(modules).collect::<Result<_, _>>()?,
        })
    }

    /// Fills in what the files tell. They must be of the build that wrote the log, unless `force` says not to look.
    pub fn apply(&self, report: &mut Report, force: bool) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        let mut roots = Roots::default();
        for object in &self.objects {
            let mine = object.findings(report, force)?;
            summary.other_kernel = summary
                .other_kernel
                .max(mine.iter().filter(|m| !**m).count());
            object.apply(report, &mine, &mut roots, &mut summary)?;
        }
        Ok(summary)
    }
}

impl Object {
    /// Which findings are of this build. None is, although there are some: an error.
    fn findings(&self, report: &Report, force: bool) -> Result<Vec<bool>, Error> {
        let mut why = None;
        let mine: Vec<bool> = report
            .findings
            .iter()
            .map(|finding| {
                let module = self.module.as_deref();
                match self.identity.compare(report, finding, module) {
                    Verdict::Other(what) if !force => {
                        why.get_or_insert(what);
                        false
                    }
                    _ => true,
                }
            })
            .collect();
        match why {
            Some(what) if !mine.contains(&true) => {
                Err(Error::new(Reason::OtherBuild, &self.path, what))
            }
            _ => Ok(mine),
        }
    }

    fn apply(
        &self,
        report: &mut Report,
        mine: &[bool],
        roots: &mut Roots,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        let elf = self.elf()?;
        let sections = Sections::load(&elf)?;
        let lines = Lines::new(&elf, &sections)?;
        let table = Table::new(&elf);
        let file_of = |name| lines.file(table.only(name)?);
        match self.module {
            None => {
                if let Some(file) = file_of("start_kernel") {
                    roots.add(&file, "init/main.c");
                }
            }
            // In-tree modules are within the kernel's source, which is known by now.
            Some(_) => {
                if let Some(file) = file_of("init_module") {
                    roots.add_folder_of(&file);
                }
            }
        }
        let mut known: HashMap<Site, Vec<SourceLine>> = HashMap::new();
        let findings = report.findings.iter_mut().zip(mine);
        for (finding, _) in findings.filter(|(_, mine)| **mine) {
            for frame in finding.frames_mut() {
                if frame.site.module != self.module {
                    continue;
                }
                let site = &frame.site;
                let source = known
                    .entry(site.clone())
                    .or_insert_with(|| look_up(site, &table, &lines, roots));
                match source.is_empty() {
                    true => summary.missed += 1,
                    false => summary.resolved += 1,
                }
                frame.source.clone_from(source);
            }
        }
        Ok(())
    }
}

fn look_up(site: &Site, table: &Table<'_>, lines: &Lines<'_>, roots: &Roots) -> Vec<SourceLine> {
    let (Some(offset), Some(size)) = (site.offset, site.size) else {
        return Vec::new();
    };
    let Some(address) = table.address(&site.symbol, offset, size) else {
        return Vec::new();
    };
    // A stack has the addresses to return to; the call is before.
    let call = address.saturating_sub(u64::from(offset > 0));
    lines.at(call, &site.symbol, roots)
}
