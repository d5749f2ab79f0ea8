// SPDX-License-Identifier: GPL-2.0-only
//! `mutants.toml`: the bugs that are planted in a driver of the kernel's, and who has to find them.
//!
//! The file is beside the `driver.toml` that tells the device; `docs/mutants.md` describes it. Each bug is a patch in the
//! folder `mutants/`.

use serde::Deserialize;

use crate::embed;
use crate::error::{Error, Result};
use crate::near::{did_you_mean, near};

use super::column::Column;

/// The file that plants bugs in a driver.
pub const FILE: &str = "mutants.toml";

/// All of a file.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    known: Vec<Known>,
    #[serde(rename = "mutant")]
    mutants: Vec<Mutant>,
}

/// Something that is found in the driver as it is.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Class of the finding; or what DMA_API_DEBUG complains of, as in the table.
    pub class: String,
    /// A function that the finding names, or how its name begins; a complaint names none.
    #[serde(default)]
    pub symbol: String,
    /// What it is.
    pub why: String,
}

/// A bug that is planted in a driver.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mutant {
    /// Name of the driver's folder.
    #[serde(skip)]
    pub driver: String,
    /// Name of the patch, without `.patch`.
    #[serde(rename = "name")]
    pub bug: String,
    /// One sentence: what is wrong.
    pub summary: String,
    /// What makes the driver go there.
    pub reached: String,
    /// The known bug that it resembles: the subject of the commit that mended it.
    pub like: Option<String>,
    /// The module that is built anew: its folder in the kernel's source, and its name.
    pub module: String,
    /// The function by which the driver that is part of the kernel registers itself, if it is: it is not called then, and
    /// the module has another name.
    pub instead_of: Option<String>,
    /// What has to be said of it.
    pub expect: Expect,
    /// What is found without it, and does not count.
    #[serde(skip)]
    pub known: Vec<Known>,
    /// The patch.
    #[serde(skip)]
    pub patch: &'static str,
}

/// What each of the sanitizers has to say; nothing is expected of one that is not named.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expect {
    /// `iommu.debug_pagealloc=origin`.
    pub origin: Expected,
    /// `iommu.debug_pagealloc=1`.
    pub count: Option<Expected>,
    /// The C reference.
    pub c: Option<Expected>,
    /// CONFIG_DMA_API_DEBUG.
    pub dma_api_debug: Option<Expected>,
}

/// What one of the sanitizers has to say.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Expected {
    /// Findings of these classes, and perhaps of others.
    Caught(Vec<String>),
    /// Nothing, for this reason.
    Missed(String),
    /// Something or nothing, from run to run, for this reason. Not for `origin`, which is exact.
    Chance(String),
}

impl Expect {
    /// What is expected in a column of the table.
    pub fn of(&self, column: Column) -> Option<&Expected> {
        match column {
            Column::Origin => Some(&self.origin),
            Column::Count => self.count.as_ref(),
            Column::Reference => self.c.as_ref(),
            Column::DmaApiDebug => self.dma_api_debug.as_ref(),
        }
    }
}

impl Mutant {
    /// All of them, by name.
    pub fn all() -> Result<Vec<Mutant>> {
        let mut all = Vec::new();
        for dir in embed::DRIVERS.dirs() {
            let Some(file) = dir.get_file(dir.path().join(FILE)) else {
                continue;
            };
            let driver = dir.path().to_string_lossy();
            let text = file.contents_utf8().unwrap_or_default();
            let patch = |bug: &str| {
                let file = dir.get_file(dir.path().join(format!("mutants/{bug}.patch")));
                file.and_then(|f| f.contents_utf8())
            };
            let found = parse(&driver, text, patch)
                .map_err(|e| Error::usage(format!("drivers/{driver}/{FILE}: {e}")))?;
            all.extend(found);
        }
        all.sort_by_key(Mutant::name);
        Ok(all)
    }

    /// Finds mutants by name, all of a driver by the driver's, and all if none is named. An unknown name is answered with
    /// the near ones and with all.
    pub fn find(names: &[String]) -> Result<Vec<Mutant>> {
        let all = Mutant::all()?;
        if let Some(unknown) = names.iter().find(|n| !all.iter().any(|m| m.is(n))) {
            return Err(not_found(unknown, &all));
        }
        let wanted = |m: &Mutant| names.is_empty() || names.iter().any(|n| m.is(n));
        Ok(all.into_iter().filter(wanted).collect())
    }

    /// `DRIVER-BUG`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.driver, self.bug)
    }

    fn is(&self, name: &str) -> bool {
        self.driver == name || self.name() == name
    }

    /// The folder of the module in the kernel's source, and the name of its file.
    pub fn folder_and_module(&self) -> (&str, &str) {
        self.module.rsplit_once('/').unwrap_or(("", &self.module))
    }

    /// Paths in the kernel's source that the patch changes.
    pub fn changes(&self) -> Vec<&str> {
        let lines = self.patch.lines();
        lines.filter_map(|l| l.strip_prefix("+++ b/")).collect()
    }
}

/// What is done with a driver: the last part of the guest's script.
pub fn script() -> &'static str {
    let file = embed::DRIVERS.get_file("workloads/mutants.sh");
    file.and_then(|f| f.contents_utf8()).unwrap_or_default()
}

fn parse(
    driver: &str,
    text: &str,
    patch: impl Fn(&str) -> Option<&'static str>,
) -> std::result::Result<Vec<Mutant>, String> {
    let mut content: Content = toml::from_str(text).map_err(|e| e.to_string())?;
    for mutant in &mut content.mutants {
        let bug = mutant.bug.clone();
        driver.clone_into(&mut mutant.driver);
        mutant.known.clone_from(&content.known);
        mutant.patch = patch(&bug).ok_or_else(|| format!("there is no mutants/{bug}.patch"))?;
        if matches!(mutant.expect.origin, Expected::Chance(_)) {
            return Err(format!(
                "{bug}: origin finds a bug or does not, never by chance"
            ));
        }
        let (folder, _) = mutant.folder_and_module();
        let outside = |path: &&str| path.rsplit_once('/').is_none_or(|(dir, _)| dir != folder);
        match mutant.changes().as_slice() {
            [] => return Err(format!("mutants/{bug}.patch changes no file")),
            changes => {
                if let Some(path) = changes.iter().find(|p| outside(p)) {
                    return Err(format!(
                        "mutants/{bug}.patch changes {path}, which is not in {folder}"
                    ));
                }
            }
        }
    }
    Ok(content.mutants)
}

fn not_found(name: &str, all: &[Mutant]) -> Error {
    let names: Vec<String> = all.iter().map(Mutant::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let guess = did_you_mean(&near(name, names.iter().copied()));
    Error::usage(format!("unknown mutant `{name}`"))
        .help(format!("{guess}mutants are: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    const TEXT: &str = r#"
        [[mutant]]
        name = "rx"
        summary = "s"
        reached = "r"
        module = "drivers/net/x/y"
        expect.origin = { caught = ["unbind-leak"] }
        expect.count = { missed = "because" }
        expect.c = { missed = "because" }
        expect.dma-api-debug = { caught = [] }
    "#;
    const PATCH: &str = "Subject: x\n\n--- a/drivers/net/x/y_main.c\n+++ b/drivers/net/x/y_main.c\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn all_of_ours_are_sound() {
        let all = Mutant::all().unwrap();
        assert!(all.len() >= 12, "{}", all.len());
        let mut drivers: Vec<_> = all.iter().map(|m| m.driver.as_str()).collect();
        drivers.dedup();
        assert!(drivers.len() >= 12, "{drivers:?}");
        let mut names: Vec<_> = all.iter().map(Mutant::name).collect();
        names.dedup();
        assert_eq!(names.len(), all.len());
        for mutant in &all {
            // Each of these ends up in a cell of a table.
            let texts = [&mutant.summary, &mutant.reached];
            assert!(
                texts.iter().all(|t| !t.contains(['|', '\n'])),
                "{}",
                mutant.name()
            );
            assert!(mutant.patch.starts_with("Subject: "), "{}", mutant.name());
        }
    }

    #[test]
    fn a_file_is_read() {
        let read = |text: &str, patch: Option<&'static str>| parse("y", text, |_| patch);
        let mutants = read(TEXT, Some(PATCH)).unwrap();
        assert_eq!(mutants[0].name(), "y-rx");
        assert_eq!(mutants[0].folder_and_module(), ("drivers/net/x", "y"));
        assert_eq!(mutants[0].changes(), ["drivers/net/x/y_main.c"]);
        let expected = mutants[0].expect.of(Column::Count);
        assert_eq!(expected, Some(&Expected::Missed("because".to_owned())));
    }

    #[test]
    fn what_depends_on_chance_is_no_expectation_of_origin() {
        let chance = |from: &str| TEXT.replace(from, "chance = \"because\"");
        let count = chance("missed = \"because\"");
        let mutants = parse("y", &count, |_| Some(PATCH)).unwrap();
        let expected = mutants[0].expect.of(Column::Count);
        assert_eq!(expected, Some(&Expected::Chance("because".to_owned())));
        let origin = chance("caught = [\"unbind-leak\"]");
        let error = parse("y", &origin, |_| Some(PATCH)).unwrap_err();
        assert!(error.contains("never by chance"), "{error}");
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let refused = |text: &str, patch: Option<&'static str>, why: &str| {
            let error = parse("y", text, |_| patch).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(TEXT, None, "there is no mutants/rx.patch");
        refused(TEXT, Some("Subject: x\n"), "changes no file");
        let elsewhere = TEXT.replace("net/x/y", "net/z/y");
        refused(&elsewhere, Some(PATCH), "which is not in drivers/net/z");
        refused(
            &TEXT.replace("reached", "reach"),
            Some(PATCH),
            "unknown field",
        );
        refused(
            &TEXT.replace("caught = []", "found = []"),
            Some(PATCH),
            "found",
        );
    }

    #[test]
    fn names_are_found_and_unknown_ones_get_the_near() {
        let all = Mutant::all().unwrap();
        assert_eq!(Mutant::find(&[]).unwrap(), all);
        let of = |name: &str| Mutant::find(&[name.to_owned()]);
        let first = &all[0];
        assert_eq!(of(&first.name()).unwrap(), std::slice::from_ref(first));
        assert!(of(&first.driver).unwrap().contains(first));
        let error = of(&format!("{}x", first.name())).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let guess = format!("did you mean `{}`", first.name());
        assert!(
            error.advice().unwrap().starts_with(&guess),
            "{:?}",
            error.advice()
        );
        assert!(of("floppy-tape")
            .unwrap_err()
            .advice()
            .unwrap()
            .starts_with("mutants are: "));
    }
}
