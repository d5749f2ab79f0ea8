// SPDX-License-Identifier: GPL-2.0-only
//! Runs drivers of the kernel's in guests: a network card, a disk, and one that is part of the kernel.
//!
//! The other drivers are run by `dmasan drivers` and by the matrix. What is missing (kernel, QEMU) makes the tests fail,
//! never pass.

use std::sync::Mutex;

use dmasan::args::{jobs_or_default, Switch};
use dmasan::boot::Host;
use dmasan::cell::{Cell, Outcome};
use dmasan::drivers::file::Driver;
use dmasan::drivers::modules::Modules;
use dmasan::drivers::{self, Lab};
use dmasan::error::Error;
use dmasan::exec::Exec;
use dmasan::kernel::{self, Flavor, KernelSpec};
use dmasan::machine::Model;
use dmasan::ui::{Color, Ui};

/// Guests run one after the other.
static ONE: Mutex<()> = Mutex::new(());

fn lab(switch: Switch) -> Lab {
    let exec = Exec::new(Ui::new(0, Color::Never), false);
    let model = <&Model>::default();
    let prepare = || {
        let host = Host::prepare(&exec, model)?;
        let spec = KernelSpec {
            flavor: Flavor::Rust,
            model,
            extra: &[],
            source: None,
            fragments: Vec::new(),
            jobs: jobs_or_default(None),
        };
        let kernel = kernel::build(&exec, &host.cache, &host.env, &spec)?;
        Ok(Lab {
            host,
            kernel,
            model,
            lazy: false,
            switch,
        })
    };
    prepare().unwrap_or_else(|e: Error| panic!("{e}\n{}", e.advice().unwrap_or_default()))
}

fn check(name: &str, switch: Switch) {
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let drivers = Driver::find(&[name.to_owned()]).unwrap();
    let all = lab(switch).run(&drivers).unwrap();
    let [ran] = all.as_slice() else {
        panic!("{} results", all.len());
    };
    assert_eq!(ran.outcome, Outcome::Passed, "{}", ran.outcome.why());
    // Not silent because nothing happened.
    assert_eq!(ran.group.as_deref(), Some("DMA"));
    assert!(ran.moved >= drivers[0].least_mib << 20, "{}", ran.moved);
    assert_eq!((ran.findings, ran.left), (0, Some(0)));
}

#[test]
fn a_network_card_is_silent() {
    check("e1000", Switch::Origin);
}

#[test]
fn a_virtio_disk_is_silent() {
    check("virtio-blk", Switch::On);
}

#[test]
fn a_driver_that_is_part_of_the_kernel_is_silent() {
    check("nvme", Switch::Origin);
}

#[test]
fn every_driver_names_modules_that_exist() {
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let modules = Modules::read(&lab(Switch::On).kernel.dir).unwrap();
    let all = Driver::all().unwrap();
    assert!(all.len() >= 20, "{} drivers", all.len());
    for driver in all {
        let files = modules.to_load(&driver.modules).unwrap();
        assert!(files.iter().all(|f| f.is_file()), "{}", driver.name);
    }
}

#[test]
fn every_driver_has_cells_on_all_machines_or_a_reason() {
    for driver in Driver::all().unwrap() {
        let all = drivers::cells(&driver);
        let of = |machine: &str| {
            let here = all.iter().filter(|c| c.machine == machine);
            let (possible, not): (Vec<&Cell>, Vec<&Cell>) =
                here.partition(|c| drivers::impossible(&driver, c).is_none());
            (possible.len(), not.len())
        };
        // One whose device goes past an IOMMU, or does not work at all, has a reason instead.
        let all_or_none = |machine: &str, possible: usize, not: usize| {
            let here = of(machine);
            assert_eq!(here.0 + here.1, possible + not, "{}", driver.name);
            assert!(
                here.0 == possible || here.0 == 0,
                "{}: {here:?}",
                driver.name
            );
        };
        // Strict and lazy, with and without the origin of mappings.
        all_or_none("vtd", 4, 0);
        // With origins; never lazy.
        all_or_none("amd-vi", 1, 1);
        all_or_none("passthrough", 1, 0);
        assert!(driver.name != "e1000" || of("vtd").0 == 4);
        let arm = if driver.name == "nvme" {
            (2, 0)
        } else {
            of("arm64-smmuv3-64k")
        };
        assert_eq!(of("arm64-smmuv3"), arm, "{}", driver.name);
    }
}
