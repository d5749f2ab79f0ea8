// SPDX-License-Identifier: GPL-2.0-only
//! The series as mails for `git am`: new files as diffs, numbers in the subjects.

use std::fmt::Write;

use crate::embed;
use crate::tree::{new_files, patches, NewFile};

/// One patch as a mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// File name, such as `0001-mm-Check-for.patch`.
    pub name: String,
    /// The whole mail.
    pub text: String,
}

/// What the first mail says if the series has no text of its own for it.
const OVERLAY: &str = "\
iommu: debug-pagealloc: Add a sanitizer for DMA mappings, in Rust

Add the files of a sanitizer that finds memory which goes back to the page
allocator while a device can still reach it through an IOMMU. Nothing is
built from them yet.
";

/// All mails for a kernel series, in order.
pub fn mails(series: &str) -> Vec<Mail> {
    let patches = patches(series);
    let first = patches.first().map(|p| String::from_utf8_lossy(p.content));
    let total = patches.len() + 1;
    let message = embed::KERNEL.get_file(format!("patches/{series}/overlay.msg"));
    let message = message.and_then(|f| f.contents_utf8()).unwrap_or(OVERLAY);
    let mut texts = vec![overlay(
        message,
        first.as_deref().unwrap_or(""),
        &new_files(series),
    )];
    texts.extend(
        patches
            .iter()
            .map(|p| String::from_utf8_lossy(p.content).into_owned()),
    );
    let numbered = texts.iter().enumerate().map(|(i, text)| {
        let text = renumber(text, i + 1, total);
        let name = format!("{:04}-{}.patch", i + 1, slug(&subject(&text)));
        Mail { name, text }
    });
    numbered.collect()
}

/// The mail that adds the new files. Author and date are those of `like`, another mail of the series.
fn overlay(message: &str, like: &str, files: &[NewFile]) -> String {
    let header = |name: &str| like.lines().take(10).find(|l| l.starts_with(name));
    let from = header("From: ").unwrap_or("From: dmasan developers <dmasan@example.org>");
    let date = header("Date: ").unwrap_or("Date: Thu, 1 Jan 2026 00:00:00 +0000");
    let (subject, body) = message.split_once('\n').unwrap_or((message, ""));
    let zeros = "0".repeat(40);
    let mut text = format!(
        "From {zeros} Mon Sep 17 00:00:00 2001\n{from}\n{date}\nSubject: [PATCH] {subject}\n\n{}\n---\n",
        body.trim(),
    );
    for file in files {
        let lines = String::from_utf8_lossy(file.content).lines().count();
        let _ = writeln!(text, " {} | {lines} +", file.path.display());
    }
    text.push('\n');
    for file in files {
        text.push_str(&new_file(file));
    }
    text.push_str("-- \ndmasan\n\n");
    text
}

/// A diff that adds a file.
fn new_file(file: &NewFile) -> String {
    let path = file.path.display();
    let content = String::from_utf8_lossy(file.content);
    let mut text = format!("diff --git a/{path} b/{path}\nnew file mode 100644\n");
    if content.is_empty() {
        // Without a hunk git wants to see the hash of nothing.
        text.push_str("index 000000000000..e69de29bb2d1\n");
        return text;
    }
    let count = content.split_inclusive('\n').count();
    let _ = write!(text, "--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{count} @@\n");
    for line in content.split_inclusive('\n') {
        text.push('+');
        text.push_str(line);
    }
    if !content.ends_with('\n') {
        text.push_str("\n\\ No newline at end of file\n");
    }
    text
}

/// Sets the number of a mail in its subject.
fn renumber(text: &str, number: usize, total: usize) -> String {
    let Some(at) = text.find("\nSubject: ").map(|a| a + "\nSubject: ".len()) else {
        return text.to_owned();
    };
    let (head, rest) = text.split_at(at);
    let bare = match rest.strip_prefix("[PATCH").and_then(|r| r.split_once("] ")) {
        Some((_, bare)) => bare,
        None => rest,
    };
    let mail = format!("{head}[PATCH {number}/{total}] {bare}");
    // Patches kept without a signature line still have to end somewhere.
    if mail.contains("\n-- \n") {
        mail
    } else {
        format!("{}\n-- \ndmasan\n\n", mail.trim_end_matches('\n'))
    }
}

/// The subject without its number, unfolded.
fn subject(text: &str) -> String {
    let mut lines = text.lines().skip_while(|l| !l.starts_with("Subject: "));
    let mut subject = lines.next().unwrap_or("").to_owned();
    for line in lines.take_while(|l| l.starts_with(' ')) {
        subject.push_str(line);
    }
    subject
        .split_once("] ")
        .map_or(String::new(), |(_, s)| s.to_owned())
}

fn slug(subject: &str) -> String {
    let dashed: String = subject
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let words: Vec<_> = dashed.split('-').filter(|w| !w.is_empty()).collect();
    let mut slug = words.join("-");
    slug.truncate(52);
    slug.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_numbered_and_named() {
        let mail =
            "From 0 Mon\nFrom: a\nSubject: [PATCH] iommu: Do a thing that is\n long\n\nx\n---\n";
        let text = renumber(mail, 2, 12);
        assert!(text.contains("\nSubject: [PATCH 2/12] iommu: Do a thing that is\n long\n"));
        assert!(text.ends_with("\n-- \ndmasan\n\n"));
        assert_eq!(subject(&text), "iommu: Do a thing that is long");
        assert_eq!(slug("iommu: Do a \"thing\""), "iommu-Do-a-thing");
        let again = renumber(&text, 3, 12);
        assert!(again.contains("[PATCH 3/12] iommu") && !again.contains("2/12"));
    }

    #[test]
    fn new_files_become_diffs() {
        let file = |content| NewFile {
            path: "a/b".into(),
            content,
        };
        let text = new_file(&file(b"x\n\ny"));
        let want =
            "--- /dev/null\n+++ b/a/b\n@@ -0,0 +1,3 @@\n+x\n+\n+y\n\\ No newline at end of file\n";
        assert!(text.ends_with(want), "{text}");
        assert!(new_file(&file(b"")).contains("e69de29"));
    }
}
