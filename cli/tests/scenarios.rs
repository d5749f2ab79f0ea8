// SPDX-License-Identifier: GPL-2.0-only
//! Runs every scenario of `scenarios/` in guests, each with each kernel and machine as a test of its own.
//!
//! Tests on machines whose kernels are not those of the default machine are ignored unless asked for, because each
//! kernel takes minutes to build: `cargo test --test scenarios -- --include-ignored arm64`. So are those with the old
//! kernel, `lts`.
//!
//! Scenarios that can share a boot are booted together by whichever test comes first; the others take their results
//! from it. Guests run one after the other. What is missing (kernel, QEMU) makes the tests fail, never pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use dmasan::args::jobs_or_default;
use dmasan::boot::Host;
use dmasan::error::Error;
use dmasan::exec::Exec;
use dmasan::kernel::{self, Flavor, Kernel, KernelSpec};
use dmasan::machine::{Model, MACHINES};
use dmasan::scenario::Scenario;
use dmasan::source::{Named, SERIES};
use dmasan::suite;
use dmasan::ui::{Color, Ui};

/// What all tests share. The lock is held while a guest runs.
#[derive(Default)]
struct Lab {
    /// By architecture.
    hosts: BTreeMap<&'static str, Host>,
    /// By series, flavour, and by what the machine adds to it.
    kernels: BTreeMap<(Linux, &'static str, String), Kernel>,
    /// What was wrong, by series, flavour, place and scenario.
    results: BTreeMap<(Linux, &'static str, &'static str, String), Vec<String>>,
}

/// A machine, and whether it is lazy there: `vtd`, `vtd+lazy`.
fn place(text: &str) -> (&'static Model, bool) {
    let (name, lazy) = match text.strip_suffix("+lazy") {
        Some(name) => (name, true),
        None => (text, false),
    };
    (Model::find(name).expect("the machine exists"), lazy)
}

/// A kernel series, if not the newest.
type Linux = Option<&'static str>;

const NEWEST: Linux = None;
const LTS: Linux = Some("6.12");

fn lab() -> &'static Mutex<Lab> {
    static LAB: OnceLock<Mutex<Lab>> = OnceLock::new();
    LAB.get_or_init(Mutex::default)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn full(error: &Error) -> String {
    let reason = std::error::Error::source(error).map(|s| format!("\n{s}"));
    let help = error.advice().map(|h| format!("\nhelp: {h}"));
    format!(
        "{error}{}{}",
        reason.unwrap_or_default(),
        help.unwrap_or_default()
    )
}

impl Lab {
    fn prepare(
        &mut self,
        linux: Linux,
        flavor: Flavor,
        model: &'static Model,
    ) -> Result<(Host, Kernel), Error> {
        let exec = Exec::new(Ui::new(0, Color::Never), false);
        let arch = model.arch.name();
        let host = match self.hosts.get(arch) {
            Some(host) => host.clone(),
            None => Host::prepare(&exec, model)?,
        };
        self.hosts.insert(arch, host.clone());
        let name = (linux, flavor.name(), model.kernel());
        if let Some(kernel) = self.kernels.get(&name) {
            return Ok((host, kernel.clone()));
        }
        let spec = KernelSpec {
            flavor,
            model,
            extra: &[],
            source: linux.map(Named::Series),
            fragments: Vec::new(),
            jobs: jobs_or_default(None),
        };
        let kernel = kernel::build(&exec, &host.cache, &host.env, &spec)?;
        self.kernels.insert(name, kernel.clone());
        Ok((host, kernel))
    }

    fn run(
        &mut self,
        name: &str,
        linux: Linux,
        flavor: Flavor,
        machine: &'static str,
    ) -> Result<Vec<String>, Error> {
        let (model, lazy) = place(machine);
        let key = (linux, flavor.name(), machine, name.to_owned());
        if let Some(wrong) = self.results.get(&key) {
            return Ok(wrong.clone());
        }
        let all = Scenario::all(&folder())?;
        let scenario = all
            .iter()
            .find(|s| s.name == name)
            .expect("the scenario exists");
        assert!(
            scenario.runs(flavor, model, lazy),
            "{name} is not for {flavor} on {machine}"
        );
        let (host, kernel) = self.prepare(linux, flavor, model)?;
        let group = suite::group(&all, scenario, &kernel, model, lazy);
        for judged in suite::run(&host, &kernel, model, lazy, &group)? {
            let key = (linux, flavor.name(), machine, judged.name);
            self.results.insert(key, judged.wrong);
        }
        Ok(self.results[&key].clone())
    }
}

fn check(name: &str, linux: Linux, flavor: Flavor, machine: &'static str) {
    // A test that failed has left nothing half-done.
    let mut lab = lab().lock().unwrap_or_else(|e| e.into_inner());
    match lab.run(name, linux, flavor, machine) {
        Ok(wrong) => assert!(
            wrong.is_empty(),
            "{name} ({flavor}, {machine}):\n{}",
            wrong.join("\n")
        ),
        Err(error) => panic!("{name} ({flavor}, {machine}): {}", full(&error)),
    }
}

/// The scenario of a test.
fn name(test: &str) -> String {
    test.replace('_', "-")
}

/// Every scenario, with each of its flavours and machines, has a test. With lazy invalidation only those of one guest
/// have: `dmasan matrix` runs all. With the old kernel, on the default machine, as
/// on others it crashes: `docs/lts.md`.
#[test]
fn none_is_forgotten() {
    let tested = tested();
    for scenario in Scenario::all(&folder()).unwrap() {
        for flavor in [Flavor::Rust, Flavor::C, Flavor::None] {
            for model in MACHINES.iter().filter(|m| scenario.runs(flavor, m, false)) {
                let of = |linux| (linux, flavor.name(), model.name, scenario.name.clone());
                let default = flavor == Flavor::Rust && model.name == <&Model>::default().name;
                let new = scenario.fits(SERIES[0]).then(|| of(NEWEST));
                let old = (default && scenario.fits("6.12")).then(|| of(LTS));
                for wanted in new.into_iter().chain(old) {
                    assert!(tested.contains(&wanted), "no test runs {wanted:?}");
                }
            }
        }
    }
}

macro_rules! scenarios {
    ($($module:ident $flavor:ident $linux:ident $machine:literal $attr:meta: $($test:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(
                #[$attr]
                #[test]
                fn $test() { check(&name(stringify!($test)), $linux, Flavor::$flavor, $machine) }
            )+
        })+

        fn tested() -> Vec<(Linux, &'static str, &'static str, String)> {
            vec![$($(($linux, Flavor::$flavor.name(), $machine, name(stringify!($test)))),+),+]
        }
    };
}

scenarios! {
    rust Rust NEWEST "vtd" cfg(test):
        address_zero,
        ahci_isa_bridge,
        bad_parameter,
        device_removed,
        domain_gone,
        domain_gone_reused,
        e1000e_traffic,
        edu_page,
        failed_map,
        group_type,
        huge_leak,
        huge_leak_pages,
        isa_bridge_boot,
        kunit,
        kunit_table,
        map_fails,
        mapped_twice,
        memory_offline,
        misused_again,
        no_memory,
        nvme_traffic,
        off,
        order3_inner,
        origin_bad_unmap,
        origin_dma_after_unmap,
        origin_e1000e,
        origin_fault_reported,
        origin_filter,
        origin_filter_none,
        origin_full,
        origin_full_ranges,
        origin_harmless,
        origin_nvme,
        origin_object,
        origin_owned,
        origin_removed,
        origin_repeated,
        origin_same_page,
        origin_stale,
        origin_unbound,
        other_cpu,
        over_unmap_2m,
        own_domain,
        page_ext,
        report_budget,
        reused_while_mapped,
        sg_segment,
        stale_iotlb,
        stale_iotlb_counts,
        stale_iotlb_lazy,
        stale_iotlb_off,
        stress,
        vmalloc;
    rust_vtd_lazy Rust NEWEST "vtd+lazy" cfg(test):
        device_removed,
        domain_gone,
        edu_page,
        group_type,
        huge_leak,
        mapped_twice,
        misused_again,
        order3_inner,
        other_cpu,
        own_domain,
        reused_while_mapped,
        sg_segment,
        vmalloc;
    rust_vtd_scalable Rust NEWEST "vtd-scalable" cfg(test):
        edu_page;
    rust_vtd_first_level Rust NEWEST "vtd-first-level" cfg(test):
        edu_page;
    rust_virtio_iommu Rust NEWEST "virtio-iommu" cfg(test):
        device_removed,
        domain_gone,
        domain_gone_reused,
        edu_page,
        group_type,
        huge_leak,
        huge_leak_pages,
        last_address,
        mapped_twice,
        misused_again,
        no_memory,
        order3_inner,
        origin_dma_after_unmap_virtio,
        other_cpu,
        over_unmap_16k,
        own_domain,
        reused_while_mapped,
        stale_iotlb,
        stress_virtio,
        unmap_hole,
        unmap_race,
        vmalloc;
    rust_passthrough Rust NEWEST "passthrough" cfg(test):
        origin_bad_unmap_passthrough,
        origin_object_passthrough,
        origin_same_page,
        passthrough;
    rust_no_iommu Rust NEWEST "none" cfg(test):
        no_iommu,
        origin_no_iommu,
        origin_same_page,
        origin_swiotlb;
    arm64_smmuv3 Rust NEWEST "arm64-smmuv3" ignore = "its kernel is built for it alone":
        device_removed,
        domain_gone,
        domain_gone_reused,
        e1000e_traffic,
        edu_page,
        group_type,
        huge_leak,
        huge_leak_pages,
        kunit,
        kunit_table,
        map_fails,
        mapped_twice,
        misused_again,
        nvme_traffic,
        order3_inner,
        origin_bad_unmap,
        origin_dma_after_unmap,
        origin_e1000e,
        origin_nvme,
        origin_object,
        origin_owned,
        origin_removed,
        origin_unbound,
        other_cpu,
        own_domain,
        reused_while_mapped,
        sg_segment,
        stale_iotlb,
        stress_virtio,
        vmalloc;
    arm64_virtio_iommu Rust NEWEST "arm64-virtio-iommu" ignore = "its kernel is built for it alone":
        device_removed,
        e1000e_traffic,
        edu_page,
        kunit,
        last_address,
        mapped_twice,
        nvme_traffic,
        order3_inner,
        origin_dma_after_unmap_virtio,
        origin_owned,
        own_domain,
        stale_iotlb,
        stress_virtio,
        unmap_hole,
        unmap_race;
    amd_vi Rust NEWEST "amd-vi" cfg(test):
        address_zero,
        device_removed,
        domain_gone,
        domain_gone_reused,
        e1000e_traffic,
        edu_page,
        failed_map,
        group_type,
        huge_leak,
        huge_leak_pages,
        kunit,
        kunit_table,
        map_fails,
        mapped_twice,
        misused_again,
        no_memory,
        nvme_traffic,
        order3_inner,
        origin_e1000e,
        origin_fault_reported,
        origin_nvme,
        origin_object,
        origin_owned,
        origin_unbound,
        other_cpu,
        over_unmap_2m,
        own_domain,
        reused_while_mapped,
        sg_segment,
        stale_iotlb,
        stress_virtio,
        vmalloc;
    arm64_smmuv3_16k Rust NEWEST "arm64-smmuv3-16k" ignore = "its kernel is built for it alone":
        device_removed,
        domain_gone,
        e1000e_traffic,
        edu_page,
        group_type,
        kunit,
        kunit_table,
        mapped_twice,
        nvme_traffic,
        order3_inner,
        origin_object,
        own_domain,
        reused_while_mapped,
        sg_segment,
        vmalloc;
    arm64_smmuv3_64k Rust NEWEST "arm64-smmuv3-64k" ignore = "its kernel is built for it alone":
        device_removed,
        domain_gone,
        e1000e_traffic,
        edu_page,
        group_type,
        kunit,
        kunit_table,
        mapped_twice,
        nvme_traffic,
        order3_inner,
        origin_object,
        own_domain,
        reused_while_mapped,
        sg_segment,
        vmalloc;
    arm64_virtio_iommu_16k Rust NEWEST "arm64-virtio-iommu-16k" ignore = "its kernel is built for it alone":
        device_removed,
        e1000e_traffic,
        kunit,
        nvme_traffic;
    arm64_virtio_iommu_64k Rust NEWEST "arm64-virtio-iommu-64k" ignore = "its kernel is built for it alone":
        device_removed,
        e1000e_traffic,
        iommu_page_smaller,
        kunit,
        nvme_traffic;
    c C NEWEST "vtd" cfg(test):
        address_zero,
        device_removed,
        domain_gone_reused,
        e1000e_traffic,
        edu_page,
        failed_map,
        group_type,
        huge_leak,
        huge_leak_pages,
        isa_bridge_boot,
        map_fails,
        mapped_twice,
        memory_offline,
        misused_again,
        no_memory,
        nvme_traffic,
        off,
        order3_inner,
        other_cpu,
        over_unmap_2m,
        own_domain,
        page_ext_reference,
        reused_while_mapped,
        sg_segment,
        stress_reference,
        vmalloc;
    c_virtio_iommu C NEWEST "virtio-iommu" cfg(test):
        last_address,
        over_unmap_16k,
        unmap_hole,
        unmap_race;
    none None NEWEST "vtd" cfg(test):
        option_off;
    lts Rust LTS "vtd" ignore = "its kernel is built for it alone":
        address_zero,
        ahci_isa_bridge,
        bad_parameter,
        device_removed,
        domain_gone,
        domain_gone_reused,
        e1000e_traffic,
        edu_page,
        failed_map_lts,
        group_type,
        huge_leak,
        huge_leak_pages,
        isa_bridge_boot,
        kunit,
        kunit_table,
        map_fails_lts,
        map_over_lts,
        mapped_twice,
        memory_offline,
        misused_again,
        no_memory,
        nvme_traffic,
        off,
        order3_inner,
        origin_bad_unmap,
        origin_dma_after_unmap,
        origin_e1000e,
        origin_fault_reported,
        origin_filter,
        origin_filter_none,
        origin_full,
        origin_full_ranges,
        origin_harmless,
        origin_nvme,
        origin_object,
        origin_owned,
        origin_removed,
        origin_repeated,
        origin_same_page,
        origin_stale,
        origin_unbound,
        other_cpu,
        over_unmap_2m,
        own_domain,
        page_ext,
        report_budget,
        reused_while_mapped,
        sg_segment,
        stale_iotlb,
        stale_iotlb_counts,
        stale_iotlb_lazy,
        stale_iotlb_off,
        stress_lts,
        vmalloc;
    lts_amd_vi Rust LTS "amd-vi" ignore = "its kernel is built for it alone":
        address_zero,
        device_removed,
        domain_gone,
        domain_gone_reused,
        edu_page,
        group_type,
        huge_leak,
        huge_leak_pages,
        map_over_lts,
        map_over_parts_lts,
        mapped_twice,
        misused_again,
        order3_inner,
        origin_owned,
        other_cpu,
        over_unmap_2m,
        own_domain,
        reused_while_mapped,
        sg_segment,
        vmalloc;
    lts_virtio_iommu Rust LTS "virtio-iommu" ignore = "its kernel is built for it alone":
        edu_page,
        origin_dma_after_unmap_virtio;
}
