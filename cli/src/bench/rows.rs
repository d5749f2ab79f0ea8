// SPDX-License-Identifier: GPL-2.0-only
//! What is measured: the rows of the tables, and where each comes from.

use crate::bench::figure::kernel_rows;
use crate::error::{Error, Result};

/// Where a row's figure comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// A test of our module.
    Module(String),
    /// The kernel's own benchmark: pages in one mapping, threads.
    Kernel(u32, u32),
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name in results.
    pub name: String,
    /// The heading it stands under.
    pub section: String,
    /// What people read.
    pub label: String,
    /// What measures it.
    pub source: Source,
}

/// Numbers of pages that one mapping may have, with what people call them.
const SIZES: &[(u32, &str)] = &[
    (1, "4K"),
    (2, "8K"),
    (4, "16K"),
    (8, "32K"),
    (16, "64K"),
    (32, "128K"),
    (64, "256K"),
    (128, "512K"),
    (256, "1M"),
    (512, "2M"),
    (1024, "4M"),
    (GIB, "1G"),
];

/// Pages in 1G, the size that the kernel's benchmark does not reach.
pub const GIB: u32 = 1 << 18;

/// The largest object that has a cache of its own, in bytes; kmalloc() takes larger ones from the page allocator.
const SLAB_MAX: u32 = 8192;

/// The sizes of the tables in this project's documents.
pub const DEFAULT_PAGES: &str = "1,16,256,1024,262144";

/// Reads `--pages`: a number of pages, or a size.
pub fn pages(text: &str) -> std::result::Result<u32, String> {
    let upper = text.to_uppercase();
    let found = SIZES
        .iter()
        .find(|(pages, name)| *name == upper || pages.to_string() == text);
    found.map(|(pages, _)| *pages).ok_or_else(|| {
        let all = SIZES
            .iter()
            .map(|(pages, name)| format!("{pages} ({name})"));
        format!("sizes are: {}", all.collect::<Vec<_>>().join(", "))
    })
}

/// What people call a number of pages.
fn size(pages: u32) -> &'static str {
    let found = SIZES.iter().find(|(p, _)| *p == pages);
    found.map_or("", |(_, name)| name)
}

const DMA: &str = "`dma_map_page()`, `dma_unmap_page()`";
const PAGING: &str =
    "`iommu_map()`, `iommu_unmap()` of 1G, in a paging domain that the device is attached to";

/// The rows of `bench map`. By the clock, the kernel's benchmark measures what it can.
pub fn of_map(pages: &[u32], threads: &[u32], exact: bool) -> Result<Vec<Row>> {
    if let Some(threads) = threads.iter().find(|t| exact && **t > 1) {
        let text = format!("{threads} threads cannot be measured on one CPU");
        return Err(Error::usage(text).help(
            "where instructions are counted there is one CPU; measure threads with --wall-clock",
        ));
    }
    let small = |p: &&u32| **p != GIB;
    let mut rows = Vec::new();
    if exact {
        for p in pages.iter().filter(small) {
            rows.extend(both("dma", size(*p), DMA, size(*p)));
        }
    }
    if pages.contains(&GIB) {
        rows.extend(of_gib());
    }
    for t in threads {
        for p in pages.iter().filter(small) {
            let (of, with) = match t {
                1 => ("1 thread".to_owned(), String::new()),
                n => (format!("{n} threads"), format!(", {n} threads")),
            };
            let section = format!("the kernel's own `dma_map_benchmark`, {of}");
            let calls = ["map", "unmap"].iter();
            rows.extend(calls.zip(kernel_rows(*p, *t)).map(|(call, name)| Row {
                name,
                section: section.clone(),
                label: format!("{call} {}{with}", size(*p)),
                source: Source::Kernel(*p, *t),
            }));
        }
    }
    Ok(rows)
}

/// Map and unmap of one test of the module.
fn both(kind: &str, arg: &str, section: &str, label: &str) -> [Row; 2] {
    ["map", "unmap"].map(|call| Row {
        name: format!("{kind}_{call}/{arg}"),
        section: section.to_owned(),
        label: format!("{call} {label}"),
        source: Source::Module(format!("{kind}/{arg}")),
    })
}

fn of_gib() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(both("iommu", "1G", PAGING, "1G, largest leaves"));
    rows.extend(both("iommu_2m", "1G", PAGING, "1G, 2M leaves"));
    for (kind, how) in [("pages", "consecutive"), ("shuffled", "scattered")] {
        let [mut map, mut unmap] = both(kind, "1G", PAGING, "");
        map.label = format!("map of one of 262,144 {how} 4K");
        unmap.label = format!("unmap 1G, of {how} 4K");
        rows.extend([map, unmap]);
    }
    rows
}

/// Orders that `--orders` takes; the kernel's allocator has no higher ones.
pub fn order(text: &str) -> std::result::Result<u8, String> {
    match text.parse() {
        Ok(order @ 0..=10) => Ok(order),
        _ => Err("orders are 0 to 10".to_owned()),
    }
}

/// Reads the name of a test of the module with calls that can be followed: KIND/ARGUMENT.
pub fn test(text: &str) -> std::result::Result<String, String> {
    let (kind, argument) = text.split_once('/').unwrap_or((text, ""));
    let mut sizes = SIZES.iter();
    let fits = match kind {
        "dma" => sizes.any(|(p, name)| *p != GIB && name.eq_ignore_ascii_case(argument)),
        "iommu" | "iommu_2m" | "pages" | "shuffled" => {
            sizes.any(|(_, name)| name.eq_ignore_ascii_case(argument))
        }
        "alloc" | "alloc_mapped" => order(argument).is_ok(),
        "slab" => argument.parse().is_ok_and(|b: u32| b > 0 && b <= SLAB_MAX),
        _ => false,
    };
    fits.then(|| text.to_owned()).ok_or_else(|| {
        let sizes: Vec<&str> = SIZES.iter().map(|(_, name)| *name).collect();
        format!(
            "tests are: dma/SIZE, iommu/SIZE, iommu_2m/SIZE, pages/SIZE, shuffled/SIZE, where a SIZE is one of {} (not \
             for dma); alloc/ORDER, alloc_mapped/ORDER, from 0 to 10; slab/BYTES, from 1 to {SLAB_MAX}",
            sizes.join(", ")
        )
    })
}

/// The rows of `bench alloc`.
pub fn of_alloc(orders: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (kind, section, with) in [
        ("alloc", "nothing is mapped", ""),
        (
            "alloc_mapped",
            "512M are mapped, in 2M and in 4K leaves, every other 2M of memory",
            ", 512M mapped",
        ),
    ] {
        rows.extend(orders.iter().map(|order| Row {
            name: format!("{kind}/{order}"),
            section: format!("`alloc_pages()` and `__free_pages()`, {section}"),
            label: format!("order {order}{with}"),
            source: Source::Module(format!("{kind}/{order}")),
        }));
    }
    rows.extend(
        [("slab_alloc", "kmalloc"), ("slab_free", "kfree")].map(|(kind, call)| Row {
            name: format!("{kind}/512"),
            section: "`kmalloc()` and `kfree()` of 512 bytes that are not mapped".to_owned(),
            label: format!("{call}()"),
            source: Source::Module("slab/512".to_owned()),
        }),
    );
    rows
}

/// Whether a row is one of pages, of which the reference is the measure; it does not look at objects.
pub fn is_of_pages(row: &Row) -> bool {
    row.name.starts_with("alloc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_pages_or_names() {
        assert_eq!(pages("256"), Ok(256));
        assert_eq!(pages("4m"), Ok(1024));
        assert_eq!(pages("1G"), Ok(GIB));
        for wrong in ["3", "0", "", "2048", "8M"] {
            let error = pages(wrong).unwrap_err();
            assert!(
                error.contains("16 (64K)") && error.contains("262144 (1G)"),
                "{error}"
            );
        }
        assert!(order("11").is_err() && order("x").is_err() && order("10").is_ok());
    }

    #[test]
    fn tests_are_those_of_the_module() {
        for right in [
            "dma/4K", "dma/4m", "iommu/1G", "pages/2M", "alloc/10", "slab/512",
        ] {
            assert_eq!(test(right).as_deref(), Ok(right));
        }
        let wrong = [
            "foo",
            "dma",
            "dma/0K",
            "dma/1G",
            "dma/4096",
            "iommu/3K",
            "alloc/11",
            "slab/0",
            "slab/8193",
            "/4K",
            "",
        ];
        for wrong in wrong {
            let error = test(wrong).unwrap_err();
            assert!(error.contains("2M, 4M, 1G (not for dma)"), "{error}");
        }
        // All that is measured can be followed.
        let mut rows = of_map(&[1, GIB], &[], true).unwrap();
        rows.extend(of_alloc(&[0]));
        for row in rows {
            let Source::Module(name) = row.source else {
                continue;
            };
            assert_eq!(test(&name), Ok(name));
        }
    }

    #[test]
    fn rows_of_map() {
        let names = |rows: Vec<Row>| rows.into_iter().map(|r| r.name).collect::<Vec<_>>();
        assert_eq!(
            names(of_map(&[1], &[1], true).unwrap()),
            [
                "dma_map/4K",
                "dma_unmap/4K",
                "kernel_map/1/1",
                "kernel_unmap/1/1"
            ]
        );
        assert_eq!(
            names(of_map(&[256], &[4], false).unwrap()),
            ["kernel_map/256/4", "kernel_unmap/256/4"]
        );
        assert_eq!(names(of_map(&[GIB], &[1], true).unwrap()).len(), 8);
        let error = of_map(&[1], &[1, 4], true).unwrap_err();
        assert!(error.advice().unwrap().contains("--wall-clock"));
    }

    #[test]
    fn names_are_unique() {
        let all: Vec<u32> = SIZES.iter().map(|(p, _)| *p).collect();
        let mut rows = of_map(&all, &[1, 4], false).unwrap();
        rows.extend(of_map(&all, &[], true).unwrap());
        rows.extend(of_alloc(&[0, 3]));
        let mut names: Vec<_> = rows.iter().map(|r| &r.name).collect();
        names.sort();
        names.dedup();
        // Those of 1G are in both.
        assert_eq!(names.len() + 8, rows.len());
    }
}
