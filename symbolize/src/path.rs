// SPDX-License-Identifier: GPL-2.0-only
//! Makes paths of source files short: without `..`, and within the kernel's source or the module's folder.

/// Folders that paths are told without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roots(Vec<String>);

impl Roots {
    /// Adds the folder of which `file` is the one called `known`, such as `init/main.c`.
    pub(crate) fn add(&mut self, file: &str, known: &str) {
        let file = normal(file);
        if let Some(root) = file.strip_suffix(known).filter(|root| root.ends_with('/')) {
            self.0.push(root.to_owned());
        }
    }

    /// Adds the folder that a file is in.
    pub(crate) fn add_folder_of(&mut self, file: &str) {
        let file = normal(file);
        if let Some((folder, _)) = file.rsplit_once('/') {
            self.0.push(format!("{folder}/"));
        }
    }
}

/// The path within the first folder that it is in; as it is, if in none.
pub(crate) fn tidy(file: &str, roots: &Roots) -> String {
    let file = normal(file);
    let inside = roots
        .0
        .iter()
        .find_map(|root| file.strip_prefix(root.as_str()));
    match inside.filter(|inside| !inside.is_empty()) {
        Some(inside) => inside.to_owned(),
        None => file,
    }
}

/// Without `.`, `..` and empty parts, as far as the text alone tells.
fn normal(file: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if file.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let slash = if file.starts_with('/') { "/" } else { "" };
    format!("{slash}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved() {
        assert_eq!(normal("/b/../s/./init//main.c"), "/s/init/main.c");
        assert_eq!(normal("/../x.c"), "/x.c");
        assert_eq!(normal("../../x.c"), "../../x.c");
        assert_eq!(normal("a/../../x.c"), "../x.c");
    }

    #[test]
    fn paths_are_within_the_first_root() {
        let mut roots = Roots::default();
        roots.add("/build/../src/init/main.c", "init/main.c");
        roots.add("/other/start.c", "init/main.c");
        roots.add_folder_of("/home/me/edu/edu_dma.c");
        assert_eq!(
            tidy("/src/drivers/iommu/iommu.c", &roots),
            "drivers/iommu/iommu.c"
        );
        assert_eq!(tidy("/home/me/edu/edu_dma.c", &roots), "edu_dma.c");
        assert_eq!(tidy("/home/me/edu2/x.c", &roots), "/home/me/edu2/x.c");
        assert_eq!(tidy("/src2/x.c", &roots), "/src2/x.c");
    }
}
