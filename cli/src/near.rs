// SPDX-License-Identifier: GPL-2.0-only
//! Names that the user may have meant.

/// Known names that differ from a wrong one by few typing errors; if there are none, those that share a part with it.
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let known: Vec<&str> = known.into_iter().collect();
    let typed = |known: &&str| strsim::damerau_levenshtein(&name, known) <= 2;
    let part = |known: &&str| {
        name.len() >= 3 && (known.contains(&name) || name.contains(*known) && known.len() >= 3)
    };
    let exact: Vec<_> = known.iter().copied().filter(typed).collect();
    match exact.is_empty() {
        true => known.into_iter().filter(part).collect(),
        false => exact,
    }
}

/// The question, with a blank behind it; empty if there is nothing to ask for.
pub fn did_you_mean(near: &[&str]) -> String {
    let near: Vec<_> = near.iter().map(|n| format!("`{n}`")).collect();
    match near.as_slice() {
        [] => String::new(),
        near => format!("did you mean {}? ", near.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_come_before_parts() {
        let known = ["vtd", "vtd-scalable", "amd-vi", "none"];
        assert_eq!(near("vdt", known), ["vtd"]);
        assert_eq!(near("scalable", known), ["vtd-scalable"]);
        assert_eq!(near("AMDVI", known), ["amd-vi"]);
        assert_eq!(near("mainframe", known), Vec::<&str>::new());
    }

    #[test]
    fn the_question_names_all() {
        assert_eq!(did_you_mean(&["a", "b"]), "did you mean `a` or `b`? ");
        assert_eq!(did_you_mean(&[]), "");
    }
}
