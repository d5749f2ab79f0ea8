// SPDX-License-Identifier: GPL-2.0-only
//! From the description of a driver to what a guest does: its modules, its script, its steps.

use std::path::{Path, PathBuf};

use crate::boot::Host;
use crate::cache::Key;
use crate::drivers::file::{Driver, Phase};
use crate::error::{io, Result};
use crate::exec::quote;
use crate::guest::{Action, Load, Plan, Step};
use crate::plug;
use crate::qemu::Machine;

/// The steps for a driver whose modules are `files`, none if it is part of the kernel. Each phase is a step, and so is
/// each loading and unloading, so that a finding tells where it belongs.
///
/// As much has to be counted after the last step as before the first. So a driver that is part of the kernel is taken
/// from the device at first, and in the end.
pub fn plan(driver: &Driver, machine: &Machine, files: &[PathBuf], script: &Path) -> Plan {
    let mut plan = Plan {
        script: Some(script.to_owned()),
        counts: true,
        ..Plan::default()
    };
    let builtin = files.is_empty();
    match builtin {
        true => plan.work.extend([phase("unbind"), phase("bind")]),
        false => plan.work.extend(loads(files)),
    }
    for it in driver.phases(machine.model) {
        match it {
            Phase::Reload if builtin => {}
            Phase::Reload => {
                plan.work.push(phase("leave"));
                plan.work.extend(unloads(files));
                plan.work.extend(loads(files));
                plan.work.push(phase("again"));
            }
            _ => plan.work.push(phase(it.word())),
        }
    }
    match builtin {
        true => plan.cleanup.push(phase("unbind")),
        false => plan.cleanup = unloads(files),
    }
    plan
}

fn phase(word: &str) -> Step {
    Step {
        action: Action::Phase(word.to_owned()),
        text: word.to_owned(),
        request: 0,
    }
}

fn of_file(file: &Path) -> Load {
    Load {
        file: file.to_owned(),
        params: Vec::new(),
        path: file.display().to_string(),
    }
}

fn loads(files: &[PathBuf]) -> Vec<Step> {
    let load = |file: &PathBuf| {
        let load = of_file(file);
        Step {
            text: format!("load {}", load.name()),
            action: Action::Load(load),
            request: 0,
        }
    };
    files.iter().map(load).collect()
}

fn unloads(files: &[PathBuf]) -> Vec<Step> {
    let unload = |file: &PathBuf| {
        let name = of_file(file).name();
        Step {
            text: format!("unload {name}"),
            action: Action::Unload(name),
            request: 0,
        }
    };
    files.iter().rev().map(unload).collect()
}

/// What the type of the device's IOMMU group has to be, as sysfs tells it.
pub fn group(machine: &Machine) -> &'static str {
    let model = machine.model;
    match (model.translates(), machine.lazy) {
        (true, false) => "DMA",
        (true, true) => "DMA-FQ",
        (false, _) if model.iommu.is_some() => "identity",
        (false, _) => "none",
    }
}

/// The script of a driver for a machine.
pub fn script(driver: &Driver, machine: &Machine) -> String {
    functions(driver, machine) + "run \"$1\"\n"
}

/// Its variables and functions.
pub fn functions(driver: &Driver, machine: &Machine) -> String {
    let own = [
        ("ADDRESS", plug::ADDRESS),
        ("DRIVER", driver.kernel_driver.as_str()),
        ("BUS", driver.bus.name()),
        ("GROUP", group(machine)),
        ("MACHINE", machine.model.name),
    ];
    let mut text = "# Written by dmasan for one driver.\n".to_owned();
    let theirs = driver
        .variables
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()));
    for (name, value) in own.into_iter().chain(theirs) {
        text.push_str(&format!("{name}={}\n", quote(value.as_ref())));
    }
    for part in driver.scripts() {
        text.push_str(part);
    }
    text
}

/// Writes the script to where a guest's files are taken from.
pub fn write_script(host: &Host, driver: &Driver, machine: &Machine) -> Result<PathBuf> {
    let text = script(driver, machine);
    let key = Key::new("workload").with("script", &text);
    let entry = host.env.cache(&host.exec)?.entry("workloads", &key);
    let dir = entry.get_or_make("workload", |dir| {
        let path = dir.join("script.sh");
        match host.exec.dry_run {
            true => Ok(()),
            false => std::fs::write(&path, &text).map_err(io("cannot write", &path)),
        }
    })?;
    Ok(dir.join("script.sh"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Model;

    fn driver(name: &str) -> Driver {
        Driver::find(&[name.to_owned()]).unwrap().remove(0)
    }

    fn machine(name: &str, lazy: bool) -> Machine {
        driver("e1000").machine(Model::find(name).unwrap(), lazy)
    }

    fn texts(plan: &Plan) -> String {
        let texts: Vec<&str> = plan.steps().map(|s| s.text.as_str()).collect();
        texts.join(", ")
    }

    #[test]
    fn modules_are_unloaded_in_reverse_order_and_loaded_again() {
        let files = ["/k/mii.ko", "/k/e1000.ko"].map(PathBuf::from);
        let plan = plan(
            &driver("e1000"),
            &machine("vtd", false),
            &files,
            Path::new("/s"),
        );
        assert_eq!(
            texts(&plan),
            "load mii, load e1000, traffic, pressure, reset, rebind, yank, rescan, suspend, leave, unload e1000, \
             unload mii, load mii, load e1000, again, unload e1000, unload mii"
        );
        assert_eq!(plan.cleanup.len(), 2);
        assert!(plan.counts);
    }

    #[test]
    fn what_is_part_of_the_kernel_is_unbound_instead() {
        let plan = plan(
            &driver("nvme"),
            &machine("vtd", false),
            &[],
            Path::new("/s"),
        );
        assert_eq!(
            texts(&plan),
            "unbind, bind, traffic, pressure, reset, rebind, yank, rescan, suspend, unbind"
        );
    }

    #[test]
    fn the_group_is_what_the_machine_promises() {
        for (name, lazy, wanted) in [
            ("vtd", false, "DMA"),
            ("virtio-iommu", true, "DMA-FQ"),
            ("passthrough", false, "identity"),
            ("none", false, "none"),
        ] {
            assert_eq!(group(&machine(name, lazy)), wanted, "{name}");
        }
    }

    #[test]
    fn the_script_is_told_what_it_is_about() {
        let text = script(&driver("e1000"), &machine("vtd", true));
        for line in [
            "DRIVER=e1000\n",
            "GROUP=DMA-FQ\n",
            "MACHINE=vtd\n",
            "MTUS='9000 1500'\n",
            "work() {\n",
        ] {
            assert!(text.contains(line), "{line}");
        }
        assert!(text.ends_with("run \"$1\"\n"));
    }
}
