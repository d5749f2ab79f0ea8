// SPDX-License-Identifier: GPL-2.0-only
//! A kernel and a module as small as can be, made by the compiler that linked this test.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Release of the kernel.
pub(crate) const RELEASE: &str = "7.3.4-test";
/// Its first line.
pub(crate) const BANNER: &str = "Linux version 7.3.4-test (me@here) (gcc 12) #7 SMP";

const KERNEL: &str = r#"
#ifdef DRAFT
__attribute__((used)) static
#endif
const char linux_banner[] = "Linux version 7.3.4-test (me@here) (gcc 12) #7 SMP\n";
volatile int touched;
__attribute__((noipa)) void callee(int n)
{
	touched += n;
}
static inline __attribute__((always_inline)) void inner(int n)
{
	callee(n + 1); /* CALL */
	touched = n;
}
__attribute__((noinline)) void outer(int n)
{
	touched = 2;
	inner(n); /* INLINED */
	touched = 3;
}
__attribute__((noipa)) static int twice(int n) { callee(n); return touched; }
__attribute__((noipa)) static int unlike(int n) { callee(n); return touched; }
extern int other(int n);
void start_kernel(void) { outer(twice(unlike(other(1)))); }
void _start(void) { start_kernel(); }
"#;

const OTHER: &str = r#"
#ifdef DRAFT
__attribute__((weak)) const char linux_banner[] = "Linux version 7.3.4-test";
#endif
extern volatile int touched;
extern void callee(int n);
__attribute__((noipa)) static int twice(int n) { callee(n); return touched; }
__attribute__((noipa)) static int unlike(int n)
{
	for (callee(n); callee(n + 1), n--;)
		callee(touched * n); /* UNLIKE */
	return twice(n) * 23 + touched;
}
int other(int n) { callee(unlike(n)); return touched; }
"#;

/// Two names of one place, neither of which tells a size.
const ENTRY: &str = r#"
	.text
	.globl bare, bare_too, behind
bare:
bare_too:
	nop
	nop
	nop
	nop
	nop
behind:
	nop /* BEHIND */
	.section .note.GNU-stack, "", %progbits
"#;

const MODULE: &str = r#"
__attribute__((section(".modinfo"), used)) static const char name[] = "name=edu_dma";
__attribute__((section(".modinfo"), used)) static const char magic[] = "vermagic=7.3.4-test SMP mod_unload ";
extern void callee(int n);
volatile int touched;
__attribute__((noinline)) void edu_leak(int n)
{
	touched = 1;
	callee(n); /* LEAK */
	touched = 2;
}
__attribute__((section(".init.text"), noinline)) int edu_init(void)
{
	touched = 3;
	edu_leak(4); /* INIT */
	return touched;
}
int init_module(void) __attribute__((alias("edu_init")));
"#;

/// The files.
pub(crate) struct Built {
    dir: tempfile::TempDir,
    pub(crate) vmlinux: PathBuf,
    pub(crate) module: PathBuf,
}

impl Built {
    /// Compiles them.
    pub(crate) fn new() -> Built {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("init")).unwrap();
        fs::write(path("init/main.c"), KERNEL).unwrap();
        fs::write(path("other.c"), OTHER).unwrap();
        fs::write(path("entry.S"), ENTRY).unwrap();
        fs::create_dir(path("edu")).unwrap();
        fs::write(path("edu/edu_dma.c"), MODULE).unwrap();
        let (vmlinux, module) = (path("vmlinux"), path("edu/edu_dma.ko"));
        let built = Built {
            dir,
            vmlinux,
            module,
        };
        built.kernel(&["-Wl,--build-id"], &built.vmlinux);
        built.cc(&["-c", "edu/edu_dma.c"], &built.module);
        built
    }

    /// Compiles the kernel anew, with further flags.
    pub(crate) fn kernel_with(&self, flags: &[&str], name: &str) -> PathBuf {
        let out = self.dir.path().join(name);
        self.kernel(flags, &out);
        out
    }

    fn kernel(&self, flags: &[&str], out: &Path) {
        let linked = [
            "-nostdlib",
            "-static",
            "-no-pie",
            "init/main.c",
            "other.c",
            "entry.S",
        ];
        self.cc(&[flags, &linked].concat(), out);
    }

    fn cc(&self, args: &[&str], out: &Path) {
        let mut command = Command::new("cc");
        // A call that ends a function leaves no address to return to.
        let plain = [
            "-g",
            "-O2",
            "-fno-pie",
            "-ffreestanding",
            "-fno-optimize-sibling-calls",
            "-fno-ipa-icf",
        ];
        command
            .current_dir(self.dir.path())
            .args(plain)
            .arg("-o")
            .arg(out)
            .args(args);
        let status = command
            .status()
            .expect("cc, which linked this test, is there");
        assert!(status.success(), "{command:?}");
    }

    /// Number of the line with a mark.
    pub(crate) fn line(&self, mark: &str) -> usize {
        let mark = format!("/* {mark} */");
        let number = |text: &str| text.lines().position(|line| line.contains(&mark));
        1 + [KERNEL, OTHER, ENTRY, MODULE]
            .into_iter()
            .find_map(number)
            .unwrap()
    }

    /// The kernel's build id.
    pub(crate) fn build_id(&self) -> String {
        let data = fs::read(&self.vmlinux).unwrap();
        let file = object::File::parse(&*data).unwrap();
        let id = file.build_id().unwrap().expect("the linker made one");
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The module as the kernel's build links it: still relocatable, with a build id.
    pub(crate) fn linked_module(&self) -> PathBuf {
        let out = self.dir.path().join("edu/linked.ko");
        self.cc(
            &["-nostdlib", "-r", "-Wl,--build-id", "edu/edu_dma.c"],
            &out,
        );
        out
    }
}

/// Size of a function as the kernel tells it, the largest one of that name: up to the next symbol of the section.
pub(crate) fn symbol_size(file: &Path, name: &str) -> u64 {
    let data = fs::read(file).unwrap();
    let file = object::File::parse(&*data).unwrap();
    let sizes = file
        .symbols()
        .filter(|symbol| symbol.name() == Ok(name))
        .map(|symbol| {
            let (section, address) = (symbol.section_index(), symbol.address());
            let others = file
                .symbols()
                .filter(|other| other.section_index() == section);
            let next = others
                .map(|other| other.address())
                .filter(|next| *next > address)
                .min();
            next.map_or(symbol.size(), |next| next - address)
        });
    sizes.max().unwrap_or_else(|| panic!("no {name}"))
}

/// Where a file says, in 8 bytes from the lowest on, how large its compressed `.debug_line` is unpacked.
pub(crate) fn size_of_unpacked(file: &[u8]) -> usize {
    let file = object::File::parse(file).unwrap();
    let section = file.section_by_name(".debug_line").unwrap();
    let (header, _) = section.file_range().unwrap();
    header as usize + 8
}
