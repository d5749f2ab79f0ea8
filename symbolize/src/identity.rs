// SPDX-License-Identifier: GPL-2.0-only
//! Tells whether a file is of the build that wrote a finding. Build ids decide; where the log has none, the kernel's
//! first line does, and where it lacks that too, the release.

use dmasan_report::text::printable;
use dmasan_report::{Finding, Report};

/// A kernel prints more of a line than that only in parts.
const LONG: usize = 900;

/// What a file says of its build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Hexadecimal.
    pub(crate) build_id: Option<String>,
    /// The kernel's first line; modules have none.
    pub(crate) banner: Option<String>,
    /// Of the kernel.
    pub(crate) release: Option<String>,
}

/// What the comparison with a finding gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same build, or nothing in the log is against it.
    Same,
    /// Another one; what differs.
    Other(String),
}

impl Identity {
    /// Compares with what the log says about the finding. `module` is whose file this is, none for the kernel.
    pub(crate) fn compare(
        &self,
        report: &Report,
        finding: &Finding,
        module: Option<&str>,
    ) -> Verdict {
        let in_log = match module {
            Some(module) => module_build_id(finding, module),
            None => kernel_build_id(finding),
        };
        if let (Some(log), Some(file)) = (in_log, &self.build_id) {
            return verdict("build id", &log, file, log == *file);
        }
        let banner = report.banner_of(finding).map(|banner| banner.text.as_str());
        if let (Some(log), Some(file)) = (banner, &self.banner) {
            let same = log == file || log.len() >= LONG && file.starts_with(log);
            return verdict("kernel", log, file, same);
        }
        let release = banner.and_then(|banner| banner.split(' ').nth(2));
        let release = release.or(report.kernel.as_deref());
        match (release, &self.release) {
            (Some(log), Some(file)) => verdict("kernel release", log, file, log == file),
            _ => Verdict::Same,
        }
    }
}

fn verdict(what: &str, log: &str, file: &str, same: bool) -> Verdict {
    if same {
        return Verdict::Same;
    }
    let (log, file) = (printable(log), printable(file));
    Verdict::Other(format!(
        "another build than the log is of ({what} in the log: `{log}`, in the file: `{file}`)"
    ))
}

/// With CONFIG_STACKTRACE_BUILD_ID the line of the process ends in the kernel's.
fn kernel_build_id(finding: &Finding) -> Option<String> {
    let raw = &finding.process.as_ref()?.raw;
    build_id(raw.rsplit(' ').next()?)
}

/// With it, a module's follows its name: `edu_leak+0x6b/0xb0 [edu_dma 878ab056...]`.
fn module_build_id(finding: &Finding, module: &str) -> Option<String> {
    let mut frames = finding.frames();
    frames.find_map(|frame| {
        if frame.site.module.as_deref() != Some(module) {
            return None;
        }
        let (_, inner) = frame.raw.rsplit_once('[')?;
        let (_, id) = inner.strip_suffix(']')?.split_once(' ')?;
        build_id(id.trim())
    })
}

fn build_id(word: &str) -> Option<String> {
    let hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    (word.len() == 40 && hexadecimal).then(|| word.to_ascii_lowercase())
}
