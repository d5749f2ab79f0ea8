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

/// The scenario of a test.
fn name(test: &str) -> String {
    test.replace('_', "-")
}

macro_rules! scenarios {
    ($($module:ident $flavor:ident: $($test:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[test] fn $test() { check(&name(stringify!($test)), Flavor::$flavor) })+
        })+

        /// Every scenario, with each of its flavours, has a test here.
        #[test]
        fn none_is_forgotten() {
            let tested = [$($((Flavor::$flavor.name(), name(stringify!($test)))),+),+];
            for scenario in Scenario::all(&folder()).unwrap() {
                for flavor in &scenario.flavors {
                    let pair = (flavor.as_str(), scenario.name.clone());
                    assert!(tested.contains(&pair), "no test runs {pair:?}");
                }
            }
        }
    };
}

scenarios! {
    rust Rust:
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
        last_address,
        map_fails,
        mapped_twice,
        memory_offline,
        misused_again,
        no_iommu,
        no_memory,
        nvme_traffic,
        off,
        order3_inner,
        origin_e1000e,
        origin_full,
        origin_no_iommu,
        origin_nvme,
        origin_object,
        origin_object_passthrough,
        origin_owned,
        origin_unbound,
        other_cpu,
        over_unmap_16k,
        over_unmap_2m,
        own_domain,
        page_ext,
        passthrough,
        reused_while_mapped,
        sg_segment,
        stress,
        stress_virtio,
        unmap_hole,
        unmap_race,
        vmalloc;
    c C:
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
        last_address,
        map_fails,
        mapped_twice,
        memory_offline,
        misused_again,
        no_memory,
        nvme_traffic,
        off,
        order3_inner,
        other_cpu,
        over_unmap_16k,
        over_unmap_2m,
        own_domain,
        page_ext_reference,
        reused_while_mapped,
        sg_segment,
        stress_reference,
        unmap_hole,
        unmap_race,
        vmalloc;
    none None:
        option_off;
}
