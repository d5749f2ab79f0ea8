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

#[cfg(test)]
mod tests {
    use super::*;
    use dmasan_report::parse;

    /// What a file with the first line `file` is, for a log with the first line `log`.
    fn compare(log: &str, file: &str) -> Verdict {
        let log = format!("{log}\nBUG: DMASAN: free-while-mapped in f+0x1/0x2\n");
        let report = parse(log.as_bytes()).unwrap();
        let identity = Identity {
            banner: Some(file.to_owned()),
            ..Identity::default()
        };
        identity.compare(&report, &report.findings[0], None)
    }

    #[test]
    fn a_first_line_may_be_cut_where_the_kernel_cuts_it() {
        let whole = format!("Linux version 7.3.4 ({}) #1", "x".repeat(2 * LONG));
        assert_eq!(compare(&whole[..LONG], &whole), Verdict::Same);
        assert!(matches!(
            compare(&whole[..LONG - 1], &whole),
            Verdict::Other(_)
        ));
        let other = format!("{}y", &whole[..LONG]);
        assert!(matches!(compare(&other, &whole), Verdict::Other(_)));
    }

    #[test]
    fn a_build_id_has_40_digits() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(build_id(id).as_deref(), Some(id));
        assert_eq!(build_id(&id.to_uppercase()).as_deref(), Some(id));
        for wrong in [&id[1..], &format!("{id}0"), &id.replace('a', "x"), ""] {
            assert_eq!(build_id(wrong), None, "{wrong}");
        }
    }
}
