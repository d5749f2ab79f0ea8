// SPDX-License-Identifier: GPL-2.0-only
//! What each kind offers, and what is known of a cell before it is run.

use crate::cell::{Cell, Kind};
use crate::drivers::{self, file::Driver};
use crate::error::Result;
use crate::kernel::Flavor;
use crate::machine::{Model, MACHINES};
use crate::matrix::catalog::Offer;
use crate::mutants;
use crate::scenario::Scenario;
use crate::selftests;
use crate::source::SERIES;

/// What one module takes in a guest, in seconds, roughly.
const STEP: u64 = 1;
/// A guest whose instructions are those of another architecture takes longer.
const FOREIGN: u64 = 2;

/// Drivers of the smoke tier: name, machine, whether lazy, and parameter. A network card, a disk and a USB one; each
/// kind of IOMMU; strict and lazy; counting, and with the origin of mappings.
const SMOKE_DRIVERS: [(&str, &str, bool, &str); 3] = [
    ("e1000", "vtd", false, ""),
    ("nvme", "virtio-iommu", false, "origin"),
    ("ehci", "vtd-first-level", true, "origin"),
];

/// The mutant of the smoke tier, and its parameter.
const SMOKE_MUTANT: (&str, &str) = ("e1000-rx-ring-clean", "origin");
/// What a mutant takes, its twin included, in seconds, roughly.
const MUTANT: u64 = 60;

/// What a suite of the kernel's takes, once with the sanitizer and perhaps once without, in seconds, roughly.
const SELFTEST: u64 = 30;

/// Cells of scenarios, of those for the newest kernels. A scenario that says nothing of a machine is not asked for there.
pub fn of_scenarios(all: &[Scenario]) -> Vec<Offer> {
    let mut offers = Vec::new();
    for scenario in all.iter().filter(|s| s.fits(SERIES[0])) {
        // Named by the first of those that share it.
        let boot = all.iter().find(|s| s.shares_boot_with(scenario));
        let boot = boot.map_or(scenario.name.as_str(), |s| s.name.as_str());
        for flavor in [Flavor::Rust, Flavor::C, Flavor::None, Flavor::DmaApiDebug] {
            let modes = MACHINES.iter().flat_map(|m| [(m, false), (m, true)]);
            for (model, lazy) in modes.filter(|&(m, lazy)| scenario.runs(flavor, m, lazy)) {
                let cell = Cell {
                    flavor,
                    lazy,
                    ..Cell::new(Kind::Scenario, &scenario.name, model)
                };
                offers.push(of_scenario(scenario, boot, model, cell));
            }
        }
    }
    offers
}

/// `boot`: the name of the first scenario that runs in the same guest.
fn of_scenario(scenario: &Scenario, boot: &str, model: &Model, cell: Cell) -> Offer {
    let steps = scenario.steps.len() as u64;
    Offer {
        boot: format!("{}/{boot}/{}/{}", cell.kind, cell.column(), cell.flavor),
        // Who asks for more time needs more of it.
        weight: slower(model, steps * STEP + scenario.timeout / 20),
        // The guest's own limit ends it before this does; modules are built, too.
        limit: scenario.timeout + 60 * steps.max(1),
        smoke: scenario.smoke && !cell.lazy && cell.flavor == Flavor::Rust && default_kernel(model),
        impossible: model.refuses_lazy(cell.lazy),
        cell,
    }
}

/// Cells of drivers.
pub fn of_drivers(all: &[Driver]) -> Vec<Offer> {
    let of = |driver| {
        let cells = drivers::cells(driver).into_iter();
        cells.map(|cell| of_driver(driver, cell))
    };
    all.iter().flat_map(of).collect()
}

fn of_driver(driver: &Driver, cell: Cell) -> Offer {
    let place = (
        driver.name.as_str(),
        cell.machine.as_str(),
        cell.lazy,
        cell.param.as_str(),
    );
    Offer {
        boot: cell.to_string(),
        // The catalogue is made from the table of machines.
        weight: slower(cell.model().unwrap_or_default(), driver.timeout / 12),
        limit: driver.timeout + 120,
        smoke: SMOKE_DRIVERS.contains(&place),
        impossible: drivers::impossible(driver, &cell),
        cell,
    }
}

/// Cells of mutants.
pub fn of_mutants() -> Result<Vec<Offer>> {
    let offer = |cell: Cell| Offer {
        boot: cell.to_string(),
        weight: MUTANT,
        limit: 10 * MUTANT,
        smoke: SMOKE_MUTANT == (cell.name.as_str(), cell.param.as_str()),
        impossible: None,
        cell,
    };
    Ok(mutants::cells()?.into_iter().map(offer).collect())
}

/// Cells of the kernel's own tests: those with the same machine and parameter share a boot.
pub fn of_selftests() -> Vec<Offer> {
    let offer = |cell: Cell| Offer {
        boot: format!("{}/{}/{}", cell.kind, cell.column(), cell.param),
        weight: slower(cell.model().unwrap_or_default(), SELFTEST),
        limit: 10 * SELFTEST,
        smoke: false,
        impossible: None,
        cell,
    };
    selftests::cells::cells().into_iter().map(offer).collect()
}

fn slower(model: &Model, seconds: u64) -> u64 {
    match model.arch == <&Model>::default().arch {
        true => seconds,
        false => seconds * FOREIGN,
    }
}

/// Whether it needs no kernel of its own.
fn default_kernel(model: &Model) -> bool {
    model.kernel().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smoke_drivers_exist_and_can_be_run() {
        let offers = of_drivers(&Driver::all().unwrap());
        let smoke: Vec<_> = offers.iter().filter(|o| o.smoke).collect();
        assert_eq!(smoke.len(), SMOKE_DRIVERS.len());
        assert!(smoke.iter().all(|o| o.impossible.is_none()));
        assert!(smoke
            .iter()
            .all(|o| default_kernel(o.cell.model().unwrap())));
    }

    #[test]
    fn the_smoke_mutant_exists() {
        let smoke = of_mutants().unwrap().into_iter().filter(|o| o.smoke);
        let cells: Vec<_> = smoke.map(|o| o.cell.to_string()).collect();
        assert_eq!(cells, ["mutant/e1000-rx-ring-clean/vtd/rust/origin"]);
    }

    #[test]
    fn a_machine_that_is_never_lazy_says_why() {
        let offers = of_drivers(&Driver::all().unwrap());
        let of = |cell: &str| {
            let found = offers.iter().find(|o| o.cell.to_string() == cell);
            found.unwrap().impossible.clone()
        };
        let why = of("driver/nvme/amd-vi+lazy/rust/origin").unwrap();
        assert!(why.contains("strict where AMD-Vi is emulated"), "{why}");
        assert_eq!(of("driver/nvme/amd-vi/rust/origin"), None);
        let why = of("driver/igb/arm64-smmuv3/rust/origin").unwrap();
        assert!(why.contains("without this driver"), "{why}");
    }
}
