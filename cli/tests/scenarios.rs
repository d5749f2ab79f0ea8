// SPDX-License-Identifier: GPL-2.0-only
//! Runs every scenario of `scenarios/` in a guest, each as a test of its own.
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
use dmasan::scenario::Scenario;
use dmasan::suite;
use dmasan::ui::{Color, Ui};

/// What all tests share. The lock is held while a guest runs.
#[derive(Default)]
struct Lab {
    host: Option<Host>,
    kernels: BTreeMap<&'static str, Kernel>,
    /// What was wrong, by flavour and scenario.
    results: BTreeMap<(&'static str, String), Vec<String>>,
}

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
    fn prepare(&mut self, flavor: Flavor) -> Result<(Host, Kernel), Error> {
        let exec = Exec::new(Ui::new(0, Color::Never), false);
        if self.host.is_none() {
            self.host = Some(Host::prepare(&exec)?);
        }
        let host = self.host.clone().expect("was set above");
        if let Some(kernel) = self.kernels.get(flavor.name()) {
            return Ok((host, kernel.clone()));
        }
        let spec = KernelSpec {
            flavor,
            source: None,
            fragments: Vec::new(),
            jobs: jobs_or_default(None),
        };
        let kernel = kernel::build(&exec, &host.cache, &host.env, &spec)?;
        self.kernels.insert(flavor.name(), kernel.clone());
        Ok((host, kernel))
    }

    fn run(&mut self, name: &str, flavor: Flavor) -> Result<Vec<String>, Error> {
        let key = (flavor.name(), name.to_owned());
        if let Some(wrong) = self.results.get(&key) {
            return Ok(wrong.clone());
        }
        let all = Scenario::all(&folder())?;
        let scenario = all
            .iter()
            .find(|s| s.name == name)
            .expect("the scenario exists");
        assert!(scenario.runs_with(flavor), "{name} is not for {flavor}");
        let (host, kernel) = self.prepare(flavor)?;
        let group = suite::group(&all, scenario, &kernel);
        for judged in suite::run(&host, &kernel, &group)? {
            self.results
                .insert((flavor.name(), judged.name), judged.wrong);
        }
        Ok(self.results[&key].clone())
    }
}

fn check(name: &str, flavor: Flavor) {
    // A test that failed has left nothing half-done.
    let mut lab = lab().lock().unwrap_or_else(|e| e.into_inner());
    match lab.run(name, flavor) {
        Ok(wrong) => assert!(wrong.is_empty(), "{name} ({flavor}):\n{}", wrong.join("\n")),
        Err(error) => panic!("{name} ({flavor}): {}", full(&error)),
    }
}

macro_rules! scenarios {
    ($($module:ident $flavor:ident: $($test:ident $name:literal),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[test] fn $test() { check($name, Flavor::$flavor) })+
        })+

        /// Every scenario, with each of its flavours, has a test here.
        #[test]
        fn none_is_forgotten() {
            let tested = [$($((Flavor::$flavor.name(), $name)),+),+];
            for scenario in Scenario::all(&folder()).unwrap() {
                for flavor in &scenario.flavors {
                    let pair = (flavor.as_str(), scenario.name.as_str());
                    assert!(tested.contains(&pair), "no test runs {pair:?}");
                }
            }
        }
    };
}

scenarios! {
    rust Rust:
        address_zero "address-zero",
        ahci_isa_bridge "ahci-isa-bridge",
        bad_parameter "bad-parameter",
        device_removed "device-removed",
        domain_gone "domain-gone",
        domain_gone_reused "domain-gone-reused",
        e1000e_traffic "e1000e-traffic",
        edu_page "edu-page",
        failed_map "failed-map",
        group_type "group-type",
        huge_leak "huge-leak",
        huge_leak_pages "huge-leak-pages",
        isa_bridge_boot "isa-bridge-boot",
        kunit "kunit",
        last_address "last-address",
        map_fails "map-fails",
        mapped_twice "mapped-twice",
        memory_offline "memory-offline",
        misused_again "misused-again",
        no_iommu "no-iommu",
        no_memory "no-memory",
        nvme_traffic "nvme-traffic",
        off "off",
        order3_inner "order3-inner",
        origin_e1000e "origin-e1000e",
        origin_full "origin-full",
        origin_no_iommu "origin-no-iommu",
        origin_nvme "origin-nvme",
        origin_object "origin-object",
        origin_object_passthrough "origin-object-passthrough",
        origin_owned "origin-owned",
        origin_unbound "origin-unbound",
        other_cpu "other-cpu",
        over_unmap_16k "over-unmap-16k",
        over_unmap_2m "over-unmap-2m",
        own_domain "own-domain",
        page_ext "page-ext",
        passthrough "passthrough",
        reused_while_mapped "reused-while-mapped",
        sg_segment "sg-segment",
        stress "stress",
        stress_virtio "stress-virtio",
        unmap_hole "unmap-hole",
        unmap_race "unmap-race",
        vmalloc "vmalloc";
    c C:
        address_zero "address-zero",
        device_removed "device-removed",
        domain_gone_reused "domain-gone-reused",
        e1000e_traffic "e1000e-traffic",
        edu_page "edu-page",
        failed_map "failed-map",
        group_type "group-type",
        huge_leak "huge-leak",
        huge_leak_pages "huge-leak-pages",
        isa_bridge_boot "isa-bridge-boot",
        last_address "last-address",
        map_fails "map-fails",
        mapped_twice "mapped-twice",
        memory_offline "memory-offline",
        misused_again "misused-again",
        no_memory "no-memory",
        nvme_traffic "nvme-traffic",
        off "off",
        order3_inner "order3-inner",
        other_cpu "other-cpu",
        over_unmap_16k "over-unmap-16k",
        over_unmap_2m "over-unmap-2m",
        own_domain "own-domain",
        page_ext_reference "page-ext-reference",
        reused_while_mapped "reused-while-mapped",
        sg_segment "sg-segment",
        stress_reference "stress-reference",
        unmap_hole "unmap-hole",
        unmap_race "unmap-race",
        vmalloc "vmalloc";
    none None:
        option_off "option-off";
}
