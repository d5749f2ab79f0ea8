// SPDX-License-Identifier: GPL-2.0-only
//! Building kernels: patched tree, configuration, compilation; each step kept by content.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::cache::{Cache, Entry, Key};
use crate::embed;
use crate::error::{io, Error, Result};
use crate::exec::{Cmd, Exec};
use crate::kconfig::{Config, Origin};
use crate::machine::Model;
use crate::root::Env;
use crate::source::{self, Named, Version, SERIES};
use crate::stdout;
use crate::tree;
use crate::ui::Unit;

/// Which sanitizer a kernel has.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Flavor {
    /// This project's
    #[default]
    Rust,
    /// The C implementation as the distribution ships it
    C,
    /// None: this project's patches with the option off
    None,
    /// The kernel's own checks of the DMA API, CONFIG_DMA_API_DEBUG, to compare with
    DmaApiDebug,
}

impl Flavor {
    /// The name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Flavor::Rust => "rust",
            Flavor::C => "c",
            Flavor::None => "none",
            Flavor::DmaApiDebug => "dma-api-debug",
        }
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A built kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Host path of the build folder (`O=`).
    pub dir: PathBuf,
    /// Host path of the source tree it was built from.
    pub source: PathBuf,
    /// The bootable image.
    pub image: PathBuf,
    /// The ELF file with symbols.
    pub vmlinux: PathBuf,
    /// `uname -r`.
    pub release: String,
    /// Which sanitizer it has.
    pub flavor: Flavor,
    /// Its architecture.
    pub arch: Arch,
    /// Identity of all that it was made from.
    pub key: String,
}

/// What kernel is wanted.
#[derive(Clone, Debug)]
pub struct KernelSpec {
    /// Which sanitizer.
    pub flavor: Flavor,
    /// The machine that it has to run on; several can have the same kernel.
    pub model: &'static Model,
    /// Files in `kernel/config` for a special purpose, on top of flavour's and machine's.
    pub extra: &'static [&'static str],
    /// What it is built from, instead of the distribution's newest.
    pub source: Option<Named>,
    /// The user's config fragments.
    pub fragments: Vec<PathBuf>,
    /// Parallel jobs.
    pub jobs: usize,
}

impl KernelSpec {
    /// How messages tell it from the kernel of the default machine.
    pub fn purpose(&self) -> String {
        let extra = self.extra.iter().map(|name| format!(", {name}"));
        self.model.kernel() + &extra.collect::<String>()
    }
}

/// Builds the kernel unless it is there already.
pub fn build(exec: &Exec, _cache: &Cache, env: &Env, spec: &KernelSpec) -> Result<Kernel> {
    let wanted = Wanted::find(exec, env, spec)?;
    let what = format!(
        "kernel (Linux {}, flavor {}{})",
        wanted.version,
        spec.flavor,
        spec.purpose()
    );
    let dir = wanted.entry.get_or_make(&what, |dir| {
        let job = Job {
            exec,
            env: &env.with_tree(&wanted.tree),
            spec,
            tree: &wanted.tree,
            dir,
        };
        job.configure(&wanted.wishes, &wanted.version.series)?;
        job.compile(&wanted.version)
    })?;
    finished(exec, spec, &dir, wanted)
}

/// Whether the kernel is there already. Its source is fetched and patched to tell.
pub fn is_built(exec: &Exec, env: &Env, spec: &KernelSpec) -> Result<bool> {
    Ok(Wanted::find(exec, env, spec)?.entry.is_complete())
}

/// Where a kernel is, or is to be, and what it is made from.
struct Wanted {
    entry: Entry,
    key: Key,
    wishes: Config,
    tree: PathBuf,
    version: Version,
}

impl Wanted {
    fn find(exec: &Exec, env: &Env, spec: &KernelSpec) -> Result<Wanted> {
        // Before anything slow: a typing error in a fragment is told at once.
        wishes(spec, SERIES[0])?;
        let source = source::prepare(exec, env, spec.source.as_ref())?;
        check_flavor(spec.flavor, &source.version)?;
        let wishes = wishes(spec, &source.version.series)?;
        let (tree, key) = match spec.flavor {
            Flavor::C => (source.tree.clone(), source.key.clone()),
            Flavor::Rust | Flavor::None | Flavor::DmaApiDebug => tree::patched(exec, env, &source)?,
        };
        let arch = spec.model.arch;
        let key = Key::new("kernel")
            .with("tree", key.hex())
            .with("config", wishes.to_string())
            .with("environment", env.key().hex());
        // The default one adds nothing, so that its kernels keep the names they had before there were others.
        let key = match arch {
            Arch::X86_64 => key,
            Arch::Arm64 => key.with("architecture", arch.name()),
        };
        Ok(Wanted {
            entry: env.cache(exec)?.entry("kernel", &key),
            key,
            wishes,
            tree,
            version: source.version,
        })
    }
}

/// Refuses the C implementation of kernels that do not have it.
fn check_flavor(flavor: Flavor, version: &Version) -> Result<()> {
    if flavor != Flavor::C || version.series != "6.12" {
        return Ok(());
    }
    let text = format!("flavor c: Linux {version} does not have the C implementation");
    Err(Error::usage(text).help("it came with Linux 7.0: use --linux 7.3, or another flavor"))
}

/// Describes the kernel in a complete entry.
fn finished(exec: &Exec, spec: &KernelSpec, entry: &Path, wanted: Wanted) -> Result<Kernel> {
    let dir = entry.join(BUILD);
    let path = dir.join("include/config/kernel.release");
    let release = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(_) if exec.dry_run => "VERSION".to_owned(),
        Err(e) => return Err(io("cannot read", &path)(e)),
    };
    Ok(Kernel {
        image: dir.join(spec.model.arch.image().1),
        vmlinux: dir.join("vmlinux"),
        dir,
        source: wanted.tree,
        release,
        flavor: spec.flavor,
        arch: spec.model.arch,
        key: wanted.key.short().to_owned(),
    })
}

/// The options asked for: ours, the architecture's, the flavour's, the machine's, the series's, the user's, in that
/// order.
fn wishes(spec: &KernelSpec, series: &str) -> Result<Config> {
    let mut config = Config::default();
    for name in own_fragments(spec, series) {
        let path = format!("config/{name}.config");
        let file = embed::KERNEL.get_file(&path);
        let text = file.and_then(|f| f.contents_utf8()).unwrap_or_default();
        config.add(Path::new(&path), text, Origin::Own)?;
    }
    for path in &spec.fragments {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::usage(format!(
                "cannot read the config fragment {}: {e}",
                path.display()
            ))
            .help("--config wants a file with CONFIG_ lines")
        })?;
        config.add(path, &text, Origin::User)?;
    }
    Ok(config)
}

/// Names of the project's own files with options.
fn own_fragments(spec: &KernelSpec, series: &str) -> Vec<String> {
    let (flavor, linux) = (format!("flavor-{}", spec.flavor), format!("linux-{series}"));
    let names = ["base", spec.model.arch.name(), &flavor];
    let names = names.into_iter().chain(spec.model.config.iter().copied());
    let names = names.chain(spec.extra.iter().copied());
    // The newest needs none.
    let linux = Some(linux.as_str()).filter(|_| series != SERIES[0]);
    names.chain(linux).map(str::to_owned).collect()
}

/// How many objects a build of the newest series has, as counted on an earlier one, if nobody adds options.
fn objects(spec: &KernelSpec, series: &str) -> Option<u64> {
    if !spec.fragments.is_empty() || !spec.extra.is_empty() || series != SERIES[0] {
        return None;
    }
    let text = embed::KERNEL.get_file("config/objects")?.contents_utf8()?;
    let mut lines = text.lines().filter_map(|l| l.split_once(' '));
    let wanted = match spec.model.arch {
        Arch::X86_64 => spec.flavor.name().to_owned(),
        Arch::Arm64 => format!("{}-arm64", spec.flavor),
    };
    lines
        .find(|(name, _)| *name == wanted)?
        .1
        .trim()
        .parse()
        .ok()
}

/// Name of the build folder inside of an entry.
const BUILD: &str = "build";

/// One build.
struct Job<'a> {
    exec: &'a Exec,
    env: &'a Env,
    spec: &'a KernelSpec,
    tree: &'a Path,
    /// The entry.
    dir: &'a Path,
}

impl Job<'_> {
    fn make(&self) -> Cmd {
        let output = self.env.inside(&self.dir.join(BUILD));
        self.env
            .cmd_in(&self.env.inside(self.tree), "make")
            .arg(format!("O={}", output.display()))
            .args(self.spec.model.arch.make())
            .args([
                "LOCALVERSION=",
                "KBUILD_BUILD_USER=dmasan",
                "KBUILD_BUILD_HOST=dmasan",
            ])
    }

    fn log(&self) -> Option<PathBuf> {
        (!self.exec.dry_run).then(|| self.dir.join("build.log"))
    }

    fn configure(&self, wishes: &Config, series: &str) -> Result<()> {
        let step = self.exec.ui.step("configuring the kernel");
        let fragment = self.dir.join("wishes.config");
        if !self.exec.dry_run {
            let build = self.dir.join(BUILD);
            std::fs::create_dir(&build).map_err(io("cannot create", &build))?;
            let text = wishes.to_string();
            std::fs::write(&fragment, text).map_err(io("cannot write", &fragment))?;
        } else {
            let from = own_fragments(self.spec, series).join(", ");
            stdout::line(&format!("# write {}: {from}", fragment.display()))?;
        }
        let all = format!("KCONFIG_ALLCONFIG={}", self.env.inside(&fragment).display());
        let make = self.make().args([all.as_str(), "allnoconfig"]);
        self.exec
            .run(&make, self.log().as_deref())
            .map_err(|e| e.context("configuring the kernel"))?;
        if !self.exec.dry_run {
            self.check_dropped(wishes)?;
        }
        step.done("");
        Ok(())
    }

    /// Names every option that the kernel did not take.
    fn check_dropped(&self, wishes: &Config) -> Result<()> {
        let path = self.dir.join(BUILD).join(".config");
        let text = std::fs::read_to_string(&path).map_err(io("cannot read", &path))?;
        let dropped = wishes.dropped(&Config::result(&text));
        let (users, own): (Vec<_>, Vec<_>) = dropped.iter().partition(|d| d.origin == Origin::User);
        for option in users {
            self.exec.ui.warn(&format!(
                "the kernel's configuration dropped {option}: something it depends on is missing, or it does not exist"
            ));
        }
        if own.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = own.iter().map(ToString::to_string).collect();
        let error = Error::failed(format!(
            "the kernel's configuration dropped options that the sanitizer needs: {}",
            names.join(", ")
        ));
        if own.iter().any(|d| d.name == "CONFIG_RUST") {
            return Err(self.why_no_rust(error));
        }
        Err(error.help("a --config fragment may contradict them, or the kernel is too different"))
    }

    /// Lets the kernel say itself what it has against the Rust tools.
    fn why_no_rust(&self, error: Error) -> Error {
        let check = self
            .exec
            .run(&self.make().arg("rustavailable"), self.log().as_deref());
        let help = "use a Debian root of the tool's own, which has the right versions: --env root";
        match check {
            Ok(()) => error,
            Err(reason) => error.because(reason),
        }
        .help(help)
    }

    fn compile(&self, version: &Version) -> Result<()> {
        let text = format!(
            "building Linux {version}, flavor {}{}",
            self.spec.flavor,
            self.spec.purpose()
        );
        let total = objects(self.spec, &version.series);
        let step = match total {
            Some(total) => self.exec.ui.bar(&text, total, Unit::Objects),
            None => self.exec.ui.step(&text),
        };
        let make = self
            .make()
            .arg(format!("-j{}", self.spec.jobs))
            .args([self.spec.model.arch.image().0, "modules"]);
        let mut done = 0;
        let mut on_line = |line: &str| {
            if is_object(line) {
                done += 1;
                // The count is an estimate where the compiler differs: never show more than all.
                step.set(total.map_or(done, |t| done.min(t)));
                match total {
                    Some(_) => step.message(line.trim()),
                    None => step.message(&format!("{done} objects  {}", line.trim())),
                }
            }
        };
        self.exec
            .lines(&make, self.log().as_deref(), &mut on_line)
            .map_err(|e| e.context(text.clone()))?;
        step.done(&format!("{done} objects"));
        Ok(())
    }
}

/// Whether a line of make's output announces a step of work, like `  CC      init/main.o`.
fn is_object(line: &str) -> bool {
    let rest = line.strip_prefix("  ").unwrap_or("");
    rest.starts_with(|c: char| c.is_ascii_uppercase())
        && rest.split_whitespace().next().is_some_and(|w| {
            w.chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(flavor: Flavor, fragments: Vec<PathBuf>) -> KernelSpec {
        KernelSpec {
            flavor,
            model: <&Model>::default(),
            extra: &[],
            source: None,
            fragments,
            jobs: 1,
        }
    }

    /// A change of what is hashed here makes every user build all kernels anew.
    #[test]
    fn machines_share_kernels_where_they_can() {
        let text = |name: &str| {
            let model = Model::find(name).unwrap();
            let spec = KernelSpec {
                model,
                ..spec(Flavor::Rust, vec![])
            };
            wishes(&spec, "7.3").unwrap().to_string()
        };
        let default = text("vtd");
        for name in [
            "vtd-scalable",
            "vtd-first-level",
            "amd-vi",
            "virtio-iommu",
            "passthrough",
            "none",
        ] {
            assert_eq!(text(name), default, "{name}");
        }
        assert!(default.contains("CONFIG_AMD_IOMMU=y"));
        let arm = text("arm64-smmuv3");
        assert_eq!(text("arm64-virtio-iommu"), arm);
        assert!(
            arm.contains("CONFIG_ARM_SMMU_V3=y") && !arm.contains("CONFIG_INTEL_IOMMU"),
            "{arm}"
        );
        assert!(text("arm64-smmuv3-16k").contains("CONFIG_ARM64_16K_PAGES=y"));
        assert!(text("arm64-virtio-iommu-64k").contains("CONFIG_ARM64_64K_PAGES=y"));
    }

    #[test]
    fn flavors_differ_in_the_option() {
        let value = |flavor, name| {
            wishes(&spec(flavor, vec![]), "7.3")
                .unwrap()
                .value(name)
                .to_owned()
        };
        const OPTION: &str = "CONFIG_IOMMU_DEBUG_PAGEALLOC";
        assert_eq!(value(Flavor::Rust, OPTION), "y");
        assert_eq!(value(Flavor::C, OPTION), "y");
        assert_eq!(value(Flavor::None, OPTION), "n");
        assert_eq!(value(Flavor::Rust, "CONFIG_DEBUG_PAGEALLOC"), "n");
        assert_eq!(value(Flavor::None, "CONFIG_RUST"), "y");
    }

    #[test]
    fn an_old_series_is_asked_for_what_the_newest_has_anyway() {
        let spec = spec(Flavor::Rust, vec![]);
        let value = |series, name| wishes(&spec, series).unwrap().value(name).to_owned();
        assert_eq!(value("6.12", "CONFIG_PROC_SYSCTL"), "y");
        let file = embed::KERNEL.get_file("config/linux-6.12.config");
        let text = file.and_then(|f| f.contents_utf8()).unwrap();
        assert!(text.lines().any(|line| line.starts_with("CONFIG_")));
        assert!(!wishes(&spec, "7.3")
            .unwrap()
            .to_string()
            .contains("PROC_SYSCTL"));
    }

    #[test]
    fn kernels_without_the_c_implementation_are_refused() {
        let version = |series: &str| Version {
            series: series.to_owned(),
            full: format!("{series}.9"),
        };
        let error = check_flavor(Flavor::C, &version("6.12")).unwrap_err();
        assert_eq!(error.exit(), crate::error::Exit::Usage);
        assert!(
            error.message().contains("Linux 6.12.9 does not have"),
            "{error}"
        );
        check_flavor(Flavor::C, &version("7.3")).unwrap();
        for flavor in [Flavor::Rust, Flavor::None, Flavor::DmaApiDebug] {
            check_flavor(flavor, &version("6.12")).unwrap();
        }
    }

    #[test]
    fn the_users_fragment_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "CONFIG_NR_CPUS=2\n").unwrap();
        let config = wishes(&spec(Flavor::C, vec![path]), "7.3").unwrap();
        assert_eq!(config.value("CONFIG_NR_CPUS"), "2");
    }

    #[test]
    fn a_missing_fragment_is_wrong_usage() {
        let e = wishes(&spec(Flavor::C, vec!["/nonexistent.config".into()]), "7.3").unwrap_err();
        assert_eq!(e.exit(), crate::error::Exit::Usage);
        assert!(e.message().contains("/nonexistent.config"));
    }

    #[test]
    fn objects_are_counted() {
        for line in [
            "  CC      init/main.o",
            "  RUSTC L rust/core.o",
            "  CC [M]  x.o",
            "  AS      a.o",
        ] {
            assert!(is_object(line), "{line}");
        }
        for line in [
            "make[1]: Entering",
            "  note: x",
            "",
            "Kernel: bzImage is ready",
        ] {
            assert!(!is_object(line), "{line}");
        }
    }
}
