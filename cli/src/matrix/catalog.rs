// SPDX-License-Identifier: GPL-2.0-only
//! All cells that there are, as scenarios, drivers, mutants and the kernel's own tests offer them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::cell::{Cell, Kind};
use crate::drivers::file::Driver;
use crate::error::Result;
use crate::kernel::Flavor;
use crate::machine::{Model, MACHINES};
use crate::matrix::{offers, runner};
use crate::scenario::Scenario;

/// What a boot takes on two cores, in seconds, roughly. All weights only have to be the same on every host.
const BOOT: u64 = 12;

/// A cell that can be run, and what is known of it before it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Offer {
    /// The cell.
    pub cell: Cell,
    /// Offers with the same word here share a boot.
    pub boot: String,
    /// Seconds on two cores, roughly, without the boot.
    pub weight: u64,
    /// Seconds that it may take at most, however slow the host is.
    pub limit: u64,
    /// Part of the smoke tier.
    pub smoke: bool,
    /// Why it cannot be run anywhere, if it cannot.
    pub impossible: Option<String>,
}

/// Everything that can be asked for.
#[derive(Debug)]
pub struct Catalog {
    /// In the order in which results are shown.
    pub offers: Vec<Offer>,
}

impl Catalog {
    /// All kinds; scenarios are those of a folder, or else those inside of the tool.
    pub fn read(scenarios: Option<&Path>) -> Result<Catalog> {
        let scenarios = match scenarios {
            Some(dir) => Scenario::all(dir)?,
            None => Scenario::embedded(&PathBuf::new())?,
        };
        let mut offers = offers::of_scenarios(&scenarios);
        offers.extend(offers::of_drivers(&Driver::all()?));
        offers.extend(offers::of_mutants()?);
        offers.extend(offers::of_selftests());
        offers.sort_by(|a, b| place(&a.cell).cmp(&place(&b.cell)));
        Ok(Catalog { offers })
    }

    /// Why a cell cannot be run anywhere, if it cannot.
    pub fn impossible(&self, cell: &Cell) -> Option<&str> {
        let offer = self.offers.iter().find(|o| o.cell == *cell)?;
        offer.impossible.as_deref()
    }

    /// How many pairs there are, of a name among those chosen and a machine, that nobody offers: the scenario, or the
    /// driver, does not ask for this machine. No machines: all.
    pub fn not_asked(&self, kind: Kind, chosen: &[&Offer], machines: &[&Model]) -> usize {
        let names = names(kind, chosen);
        let among = |m: &&Model| machines.is_empty() || machines.iter().any(|c| c.name == m.name);
        let machines: Vec<&str> = MACHINES.iter().filter(among).map(|m| m.name).collect();
        let of_kind = self.offers.iter().filter(|o| o.cell.kind == kind);
        let pairs: BTreeSet<_> = of_kind
            .map(|o| (o.cell.name.as_str(), o.cell.machine.as_str()))
            .filter(|(name, machine)| names.contains(name) && machines.contains(machine))
            .collect();
        names.len() * machines.len() - pairs.len()
    }
}

/// Names of a kind.
pub fn names<'a>(kind: Kind, offers: &[&'a Offer]) -> BTreeSet<&'a str> {
    let of_kind = offers.iter().filter(|o| o.cell.kind == kind);
    of_kind.map(|o| o.cell.name.as_str()).collect()
}

/// Where a cell stands: machines in the order of their table.
pub fn place(cell: &Cell) -> (Kind, Flavor, usize, &Cell) {
    let machine = MACHINES.iter().position(|m| m.name == cell.machine);
    (
        cell.kind,
        cell.flavor,
        machine.unwrap_or(MACHINES.len()),
        cell,
    )
}

/// A kernel, as far as cells differ in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KernelId {
    /// The sanitizer.
    pub flavor: Flavor,
    /// What else is in its configuration, such as `arm64` or `arm64-64k`; empty for that of the default machine.
    pub purpose: String,
}

impl KernelId {
    /// The kernel of a cell.
    pub fn of(cell: &Cell) -> KernelId {
        // The catalogue is made from the table of machines.
        let purpose = runner::spec(cell).map(|s| s.purpose()).unwrap_or_default();
        KernelId {
            flavor: cell.flavor,
            purpose: purpose.trim_start_matches(", ").to_owned(),
        }
    }
}

impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.purpose.as_str() {
            "" => write!(f, "{}", self.flavor),
            purpose => write!(f, "{}, {purpose}", self.flavor),
        }
    }
}

/// Cells that are run in one go: those of one boot.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// What they share; also their name.
    pub boot: String,
    /// In order.
    pub cells: Vec<Cell>,
    /// Seconds on two cores, roughly.
    pub weight: u64,
    /// Seconds after which it is ended.
    pub limit: u64,
}

/// What a group may take besides its cells: other processes may be making the same modules.
const LIMIT: u64 = 300;

impl Group {
    /// Puts those together that share a boot, in the order of the first of each.
    pub fn of(offers: &[&Offer]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for offer in offers {
            match groups.iter_mut().find(|g| g.boot == offer.boot) {
                Some(group) => {
                    group.cells.push(offer.cell.clone());
                    group.weight += offer.weight;
                    group.limit += offer.limit;
                }
                None => groups.push(Group {
                    boot: offer.boot.clone(),
                    cells: vec![offer.cell.clone()],
                    weight: match offer.impossible {
                        Some(_) => 0,
                        None => offer.weight + BOOT,
                    },
                    limit: offer.limit + LIMIT,
                }),
            }
        }
        groups
    }

    /// The kernel that it boots.
    pub fn kernel(&self) -> KernelId {
        KernelId::of(&self.cells[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::read(None).unwrap()
    }

    #[test]
    fn what_is_inside_is_what_is_in_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        assert_eq!(
            Catalog::read(Some(&folder)).unwrap().offers,
            catalog().offers
        );
    }

    #[test]
    fn cells_are_unique_and_in_order() {
        let offers = catalog().offers;
        let cells: BTreeSet<_> = offers.iter().map(|o| &o.cell).collect();
        assert_eq!(cells.len(), offers.len());
        let of = |name: &str| {
            let vtd = offers.iter().filter(|o| o.cell.name == name);
            vtd.map(|o| o.cell.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of("edu-page")[0], "scenario/edu-page/vtd/rust");
        assert_eq!(of("edu-page").last().unwrap(), "scenario/edu-page/vtd/c");
    }

    #[test]
    fn every_pair_is_offered_or_counted() {
        let catalog = catalog();
        let all: Vec<&Offer> = catalog.offers.iter().collect();
        let not_asked = |kind| catalog.not_asked(kind, &all, &[]);
        let scenarios = names(Kind::Scenario, &all).len();
        let of_kind = catalog
            .offers
            .iter()
            .filter(|o| o.cell.kind == Kind::Scenario);
        let mut pairs: Vec<_> = of_kind.map(|o| (&o.cell.name, &o.cell.machine)).collect();
        pairs.sort();
        pairs.dedup();
        assert_eq!(
            pairs.len() + not_asked(Kind::Scenario),
            scenarios * MACHINES.len()
        );
        assert!(not_asked(Kind::Scenario) > 0);
        // Drivers are for all machines; where one cannot be, that is a cell with a reason.
        assert_eq!(not_asked(Kind::Driver), 0);
        let lacking = catalog.offers.iter().filter(|o| o.impossible.is_some());
        assert!(lacking.count() > 0);
    }

    #[test]
    fn only_what_was_chosen_is_counted_as_not_asked() {
        let catalog = catalog();
        let chosen: Vec<&Offer> = catalog
            .offers
            .iter()
            .filter(|o| o.cell.name == "origin-object")
            .collect();
        let asked: BTreeSet<_> = chosen.iter().map(|o| o.cell.machine.as_str()).collect();
        let not_asked = |machines: &[&Model]| catalog.not_asked(Kind::Scenario, &chosen, machines);
        assert_eq!(not_asked(&[]), MACHINES.len() - asked.len());
        let one = |asks: bool| MACHINES.iter().find(|m| asked.contains(m.name) == asks);
        assert_eq!(not_asked(&[one(true).unwrap()]), 0);
        assert_eq!(not_asked(&[one(false).unwrap()]), 1);
    }

    #[test]
    fn the_smoke_tier_is_small_and_needs_one_kernel() {
        let catalog = catalog();
        let smoke: Vec<_> = catalog.offers.iter().filter(|o| o.smoke).collect();
        let groups = Group::of(&smoke);
        let kernels: BTreeSet<_> = groups.iter().map(Group::kernel).collect();
        assert_eq!(kernels.len(), 1);
        let machines: BTreeSet<_> = smoke.iter().map(|o| o.cell.machine.as_str()).collect();
        let own = MACHINES.iter().filter(|m| m.kernel().is_empty());
        assert_eq!(machines, own.map(|m| m.name).collect());
        assert!(groups.iter().map(|g| g.weight).sum::<u64>() < 600);
    }

    #[test]
    fn groups_share_what_the_tests_share() {
        let catalog = catalog();
        let groups = Group::of(&catalog.offers.iter().collect::<Vec<_>>());
        let of = |cell: &str| {
            let mut with = groups
                .iter()
                .filter(|g| g.cells.iter().any(|c| c.to_string() == cell));
            let found = with.next().unwrap();
            assert!(with.next().is_none());
            found
        };
        assert_eq!(of("scenario/kunit/vtd/rust").cells.len(), 1);
        let shared = of("scenario/order3-inner/vtd/rust");
        assert_eq!(shared, of("scenario/huge-leak/vtd/rust"));
        assert_ne!(shared, of("scenario/order3-inner/vtd/c"));
        assert_ne!(shared, of("scenario/order3-inner/amd-vi/rust"));
    }
}
