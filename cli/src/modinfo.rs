// SPDX-License-Identifier: GPL-2.0-only
//! What a module says of itself: the section `.modinfo` of its file.

use std::path::Path;

use object::{Object, ObjectSection};

/// The value of a key, if the bytes of a module have it.
pub fn value(content: &[u8], key: &str) -> Result<Option<String>, String> {
    let elf = object::File::parse(content).map_err(|e| e.to_string())?;
    let section = elf.section_by_name(".modinfo").ok_or("no .modinfo")?;
    let data = section.data().map_err(|e| e.to_string())?;
    let mut entries = data.split(|b| *b == 0);
    let value = entries.find_map(|e| e.strip_prefix(key.as_bytes())?.strip_prefix(b"="));
    Ok(value.map(|v| String::from_utf8_lossy(v).into_owned()))
}

/// The name that the kernel gives to the module in a file, whatever the file is called. Of a file that is not there,
/// as in a dry run, what a build would call it.
pub fn name(file: &Path) -> String {
    let content = std::fs::read(file).unwrap_or_default();
    let own = value(&content, "name").ok().flatten();
    own.filter(|n| !n.is_empty())
        .unwrap_or_else(|| name_of_build(file))
}

/// The name that goes with the name of a file as a build leaves it.
pub fn name_of_build(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().replace('-', "_")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use object::write;
    use object::{Architecture, BinaryFormat, Endianness, SectionKind};

    /// A module as far as it is read here. Its code has a string that looks like an entry.
    pub(crate) fn module(modinfo: &[u8]) -> Vec<u8> {
        let mut elf =
            write::Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        for (name, data) in [
            (".rodata", b"\0name=wrong\0".as_slice()),
            (".modinfo", modinfo),
        ] {
            let section = elf.add_section(vec![], name.into(), SectionKind::ReadOnlyData);
            elf.append_section_data(section, data, 1);
        }
        elf.write().unwrap()
    }

    #[test]
    fn a_copy_of_a_module_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my-copy-1.2.ko");
        assert_eq!(name(&file), "my_copy_1.2");
        std::fs::write(&file, module(b"license=GPL\0fw_name=x\0name=edu_dma\0")).unwrap();
        assert_eq!(name(&file), "edu_dma");
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert!(value(b"no ELF", "name").is_err());
        assert_eq!(value(&module(b"names=x\0name\0"), "name"), Ok(None));
        assert_eq!(
            value(&module(b"depends=\0"), "depends"),
            Ok(Some(String::new()))
        );
    }
}
