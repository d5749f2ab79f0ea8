// SPDX-License-Identifier: GPL-2.0-only
//! What a guest does with a mutant: first the driver without the bug, then the driver with it, each the same way.

use std::path::{Path, PathBuf};

use crate::drivers::modules::Modules;
use crate::error::Result;
use crate::guest::{Action, Load, Plan, Step};

/// The request of the plan that the driver without the bug belongs to, and of the one with it.
pub const TWIN: usize = 0;
/// See [`TWIN`].
pub const MUTANT: usize = 1;

/// The script's words: use the driver; take its memory back from caches, and use all memory once.
const WORDS: [&str; 2] = ["use", "reuse"];

/// The plan of a guest. `modules`: those that make the driver; `twin` and `mutant`: what replaces one of them.
pub fn plan(
    kernel: &Modules,
    modules: &[String],
    twin: &Path,
    mutant: &Path,
    script: &Path,
) -> Result<Plan> {
    let files = kernel.to_load(modules)?;
    let mut plan = Plan {
        script: Some(script.to_owned()),
        ..Plan::default()
    };
    for (request, own) in [(TWIN, twin), (MUTANT, mutant)] {
        let loads: Vec<Load> = replaced(&files, own).into_iter().map(load).collect();
        let phase = |word: &str| Step {
            action: Action::Phase(word.to_owned()),
            text: format!("{} {word}", ["twin", "mutant"][request]),
            request,
        };
        let steps = loads.iter().map(|l| step(Action::Load(l.clone()), request));
        plan.work.extend(steps);
        plan.work.push(phase(WORDS[0]));
        let steps = loads.iter().rev();
        plan.work
            .extend(steps.map(|l| step(Action::Unload(l.name()), request)));
        // Of what the driver has freed, pages come back to the page allocator only when somebody wants memory.
        plan.work.push(phase(WORDS[1]));
    }
    Ok(plan)
}

fn load(file: PathBuf) -> Load {
    Load {
        path: file.display().to_string(),
        file,
        params: Vec::new(),
    }
}

fn step(action: Action, request: usize) -> Step {
    let which = ["twin", "mutant"][request];
    let text = match &action {
        Action::Unload(name) => format!("{which} unload {name}"),
        Action::Load(load) => format!("{which} {}", load.name()),
        _ => which.to_owned(),
    };
    Step {
        action,
        text,
        request,
    }
}

/// The files, with one in the place of its namesake; after all others if it replaces a part of the kernel.
fn replaced(files: &[PathBuf], own: &Path) -> Vec<PathBuf> {
    let name = |file: &Path| load(file.to_owned()).name();
    let mut files = files.to_vec();
    match files.iter_mut().find(|f| name(f) == name(own)) {
        Some(file) => own.clone_into(file),
        None => files.push(own.to_owned()),
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_module_is_replaced() {
        let files = ["/k/usb-common.ko", "/k/usbcore.ko", "/k/ehci-hcd.ko"].map(PathBuf::from);
        let replaced = replaced(&files, Path::new("/m/usbcore.ko"));
        let wanted = ["/k/usb-common.ko", "/m/usbcore.ko", "/k/ehci-hcd.ko"];
        assert_eq!(replaced, wanted.map(PathBuf::from));
        let replaced = super::replaced(&files[..1], Path::new("/m/nvme_copy.ko"));
        let wanted = ["/k/usb-common.ko", "/m/nvme_copy.ko"];
        assert_eq!(replaced, wanted.map(PathBuf::from));
    }
}
