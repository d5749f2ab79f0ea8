// SPDX-License-Identifier: GPL-2.0-only
//! Ranges that a domain still mapped: the lines of a report that list them, and their JSON.

use crate::facts::facts;
use serde::{Deserialize, Serialize};

/// Memory that a device could reach, consecutive in both address spaces. Neither end of it overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedRange {
    /// The first address as the device saw it.
    #[serde(with = "hex")]
    pub iova: u64,
    /// The first physical address.
    #[serde(with = "hex")]
    pub phys: u64,
    /// Bytes, at least one.
    #[serde(with = "hex")]
    pub size: u64,
}

/// Reads ` [iova=0x1000] [phys=0x2000] [size=0x1000]`; other pairs may follow or stand in between. None for any other
/// line, and for numbers that are no range.
pub(crate) fn range(text: &str) -> Option<MappedRange> {
    if !is_indented(text) {
        return None;
    }
    let facts = facts(text)?;
    let number = |key| {
        let (_, value) = facts.iter().find(|(k, _)| *k == key)?;
        hex::parse(value)
    };
    let range = MappedRange {
        iova: number("iova")?,
        phys: number("phys")?,
        size: number("size")?,
    };
    let more = range.size.checked_sub(1)?;
    let fits = |first: u64| first.checked_add(more).is_some();
    (fits(range.iova) && fits(range.phys)).then_some(range)
}

/// By which the pairs of a range are told from the facts of a report.
pub(crate) fn is_indented(text: &str) -> bool {
    text.starts_with([' ', '\t'])
}

/// Numbers as the kernel writes them. A number of JSON may lose its last digits where it is read.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// `0x` and no more digits than an address has.
    pub(super) fn parse(text: &str) -> Option<u64> {
        let digits = text.strip_prefix("0x")?;
        // from_str_radix() takes a sign, too.
        let only_digits = digits.bytes().all(|b| b.is_ascii_hexdigit());
        only_digits
            .then(|| u64::from_str_radix(digits, 16).ok())
            .flatten()
    }

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:#x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no hexadecimal number")))
    }
}

#[cfg(test)]
mod tests {
    use super::{range, MappedRange};
    use rstest::rstest;

    #[rstest]
    #[case::plain(" [iova=0xffffe000] [phys=0x3b3c000] [size=0x2000]", (0xffff_e000, 0x3b3_c000, 0x2000))]
    #[case::more_pairs(" [domain=3] [iova=0x1000] [phys=0x2000] [prot=rw] [size=0x1000]", (0x1000, 0x2000, 0x1000))]
    #[case::again(" [iova=0x1] [phys=0x2] [size=0x3] [size=x] [iova=0x9]", (1, 2, 3))]
    #[case::to_the_end(" [iova=0xfffffffffffff000] [phys=0x0] [size=0x1000]", (0xffff_ffff_ffff_f000, 0, 0x1000))]
    #[case::all(" [iova=0x0] [phys=0x0] [size=0xffffffffffffffff]", (0, 0, u64::MAX))]
    fn ranges(#[case] text: &str, #[case] (iova, phys, size): (u64, u64, u64)) {
        let expected = MappedRange { iova, phys, size };
        assert_eq!(range(text), Some(expected));
        let json = serde_json::to_string(&expected).unwrap();
        assert_eq!(
            serde_json::from_str::<MappedRange>(&json).unwrap(),
            expected
        );
    }

    #[rstest]
    #[case::not_indented("[iova=0x1000] [phys=0x2000] [size=0x1000]")]
    #[case::cut(" [iova=0x1000] [phys=0x2000] [size=0x10")]
    #[case::cut_after_a_pair(" [iova=0x1000] [phys=0x2000]")]
    #[case::text(" [iova=0x1000] [phys=0x2000] [size=0x1000] x")]
    #[case::empty(" [iova=0x1000] [phys=0x2000] [size=0x0]")]
    #[case::beyond_iova(" [iova=0xfffffffffffff000] [phys=0x0] [size=0x1001]")]
    #[case::beyond_phys(" [iova=0x0] [phys=0xfffffffffffff000] [size=0x1001]")]
    #[case::too_long(" [iova=0x10000000000000000] [phys=0x0] [size=0x1000]")]
    #[case::no_digits(" [iova=0x] [phys=0x0] [size=0x1000]")]
    #[case::sign(" [iova=0x+1] [phys=0x0] [size=0x1000]")]
    #[case::negative(" [iova=-0x1] [phys=0x0] [size=0x1000]")]
    #[case::decimal(" [iova=4096] [phys=0x0] [size=0x1000]")]
    #[case::bad_first(" [iova=x] [iova=0x1] [phys=0x0] [size=0x1000]")]
    #[case::frame(" f+0x1/0x2")]
    #[case::blank(" ")]
    fn no_ranges(#[case] text: &str) {
        assert_eq!(range(text), None);
    }

    #[test]
    fn json_is_as_strict() {
        for text in ["4096", "\"4096\"", "\"0x\"", "\"0x1g\""] {
            let json = format!("{{\"iova\":{text},\"phys\":\"0x0\",\"size\":\"0x1\"}}");
            assert!(
                serde_json::from_str::<MappedRange>(&json).is_err(),
                "{text}"
            );
        }
    }
}
