// SPDX-License-Identifier: GPL-2.0-only
//! Parts of a run for several hosts: the same on each of them, disjoint, and together everything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::matrix::catalog::{Group, KernelId};

/// What one more kernel costs a host, in seconds: much, so that few hosts build the same.
const KERNEL: u64 = 400;
/// More hosts than anyone has.
const MOST: usize = 10_000;

/// One of several parts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Shard {
    /// Which, from 1.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Shard {
    /// All in one.
    pub const WHOLE: Shard = Shard { index: 1, count: 1 };

    /// Its part of all groups. They are put in a row, kernel by kernel, and the row is cut so that the host with the most to do
    /// has as little as possible; so few hosts need the same kernel. Looks at nothing but the groups.
    pub fn part(self, groups: &[Group]) -> Vec<&Group> {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_cached_key(|i| (kernel(&groups[*i]), &groups[*i].boot));
        let row: Vec<_> = order
            .iter()
            .map(|i| (kernel(&groups[*i]), groups[*i].weight))
            .collect();
        // What one host would do is enough, and nothing is too little.
        let (mut low, mut high) = (0, row.iter().map(|(_, weight)| weight + KERNEL).sum());
        while low < high {
            let middle = low + (high - low) / 2;
            match cut(&row, self.count, middle) {
                Some(_) => high = middle,
                None => low = middle + 1,
            }
        }
        let hosts = cut(&row, self.count, high).unwrap_or_default();
        let here = order.iter().zip(hosts);
        let here = here.filter(|(_, host)| host + 1 == self.index);
        let mut mine: Vec<usize> = here.map(|(i, _)| *i).collect();
        mine.sort_unstable();
        mine.into_iter().map(|i| &groups[i]).collect()
    }
}

/// The host of each item of a row of kernels and weights, if none does more than `most`; `None` if so many hosts are too few.
fn cut(row: &[(Option<KernelId>, u64)], count: usize, most: u64) -> Option<Vec<usize>> {
    let (mut host, mut load, mut has) = (0, 0, &None);
    let mut hosts = Vec::with_capacity(row.len());
    for (kernel, weight) in row {
        let cost = |has: &Option<KernelId>| match kernel.is_some() && has != kernel {
            true => weight + KERNEL,
            false => *weight,
        };
        if load + cost(has) > most {
            (host, load, has) = (host + 1, 0, &None);
        }
        load += cost(has);
        has = kernel;
        if host == count || load > most {
            return None;
        }
        hosts.push(host);
    }
    Some(hosts)
}

/// The kernel that a group needs. What cannot be run weighs nothing, and needs none.
fn kernel(group: &Group) -> Option<KernelId> {
    (group.weight > 0).then(|| group.kernel())
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            let plain = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
            let parse = |t: &str| t.parse().ok().filter(|_| plain(t));
            Some((parse(index)?, parse(count)?))
        });
        match numbers {
            Some((index, count)) if (1..=MOST).contains(&count) && (1..=count).contains(&index) => {
                Ok(Shard { index, count })
            }
            Some((_, count)) if (1..=MOST).contains(&count) => Err(format!(
                "of {count} shards, the first is 1/{count} and the last is {count}/{count}"
            )),
            Some(_) => Err(format!("there can be 1 to {MOST} shards")),
            None => Err("two numbers are wanted, as in 1/4: the first of four shards".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Kind};
    use crate::machine::{Model, MACHINES};
    use crate::matrix::catalog::Catalog;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn only_parts_that_there_are_are_read() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, count: 4 }));
        for (text, told) in [
            ("5/4", "the last is 4/4"),
            ("0/4", "the first is 1/4"),
            ("1/0", "1 to 10000 shards"),
            ("1/10001", "1 to 10000 shards"),
            ("+1/4", "two numbers"),
            ("1", "two numbers"),
            ("a/b", "two numbers"),
            ("", "two numbers"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    fn group(number: usize, weight: u64, model: &Model) -> Group {
        Group {
            boot: number.to_string(),
            cells: vec![Cell::new(Kind::Scenario, &number.to_string(), model)],
            weight,
            limit: 1,
        }
    }

    proptest! {
        #[test]
        fn shards_are_disjoint_and_together_everything(
            weights in proptest::collection::vec((1_u64..100, 0..MACHINES.len()), 0..60),
            count in 1_usize..9,
        ) {
            let groups: Vec<Group> = weights.iter().enumerate()
                .map(|(n, (weight, machine))| group(n, *weight, &MACHINES[*machine]))
                .collect();
            let mut seen: Vec<&Group> = (1..=count)
                .flat_map(|index| Shard { index, count }.part(&groups))
                .collect();
            prop_assert_eq!(seen.len(), groups.len());
            seen.sort_by_key(|g| g.boot.parse::<usize>().unwrap());
            prop_assert_eq!(seen, groups.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn shards_are_even_and_share_no_kernels_without_need() {
        let catalog = Catalog::read(None).unwrap();
        let groups = Group::of(&catalog.offers.iter().collect::<Vec<_>>());
        let shards: Vec<_> = (1..=4)
            .map(|index| Shard { index, count: 4 }.part(&groups))
            .collect();
        let kernels = |part: &[&Group]| {
            part.iter()
                .filter_map(|g| kernel(g))
                .collect::<BTreeSet<_>>()
        };
        let all = kernels(&groups.iter().collect::<Vec<_>>());
        let built: usize = shards.iter().map(|s| kernels(s).len()).sum();
        assert!(
            built < all.len() + 4,
            "{built} builds of {} kernels",
            all.len()
        );
        let seconds = |part: &Vec<&Group>| {
            let guests: u64 = part.iter().map(|g| g.weight).sum();
            guests + KERNEL * kernels(part).len() as u64
        };
        let loads: Vec<u64> = shards.iter().map(seconds).collect();
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 2 * KERNEL, "{loads:?}");
    }

    #[test]
    fn one_shard_is_everything_in_order() {
        let groups: Vec<_> = (0..5)
            .map(|n| group(n, 9 - n as u64, &MACHINES[0]))
            .collect();
        assert_eq!(
            Shard::WHOLE.part(&groups),
            groups.iter().collect::<Vec<_>>()
        );
    }
}
