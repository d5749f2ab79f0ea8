// SPDX-License-Identifier: GPL-2.0-only
//! What the guest does: runs one suite after the other, and marks where each begins and ends.
//!
//! The marks stand in the kernel log, so that results of KUnit, findings and warnings belong to a suite, and in what the
//! script prints, so that the lines of a program do. There the end also tells what is counted before and after.

use std::path::{Path, PathBuf};

use crate::bench::program as benchmark;
use crate::boot::Host;
use crate::cache::Key;
use crate::error::{io, Result};
use crate::guest::program_path;
use crate::selftests::suite::{How, Suite};

/// Begins each mark; one more, of `boot`, ends what the kernel has tested by itself.
pub const MARK: &str = "dmasan: selftest";

/// Huge pages of 2M that tests of user space memory take.
const HUGE_PAGES: u32 = 80;

/// Seconds that the benchmark takes for each pair of pages and threads.
const SECONDS: u32 = 2;

const PRELUDE: &str = r#"stats=/sys/kernel/debug/dmasan/stats
counts() { echo "$(sed -n 's/^sum_of_counts: //p' $stats 2>/dev/null) $(sed -n 's/^pages_negative: //p' $stats 2>/dev/null)"; }
# Nothing may be left of the suite before: frees that wait for RCU, pages on the lists of a CPU.
begin() {
	sync
	before=$(counts)
	echo "<6>$mark $1 begin" >/dev/kmsg
	echo "$mark $1 begin"
}
end() {
	echo "<6>$mark $1 end rc=$2" >/dev/kmsg
	echo "$mark $1 end rc=$2 counts $before $(counts)"
}
kunit() {
	rc=0
	for suite; do
		run=/sys/kernel/debug/kunit/$suite/run
		[ -w $run ] || { echo "there is no KUnit suite $suite"; rc=1; continue; }
		echo go >$run || rc=1
	done
	return $rc
}
# From a pipe, which finit_module() refuses: where that fails insmod tries init_module(), and would start it twice.
load() { cat $1 | insmod /dev/stdin; }
unload() {
	name=${1##*/}
	rmmod ${name%.ko}
}
# generic_pt looks for leaks in a counter of pages, of which each CPU keeps a part to itself for a while: exact only
# with one CPU, whose part is 0 in the beginning and is not fetched in between.
one_cpu() {
	for cpu in /sys/devices/system/cpu/cpu[1-9]*; do echo 0 >$cpu/online; done
	echo 100000 >/proc/sys/vm/stat_interval
	sleep 2
	echo 1 >/proc/sys/vm/stat_refresh
}
all_cpus() {
	for cpu in /sys/devices/system/cpu/cpu[1-9]*; do echo 1 >$cpu/online; done
	echo 1 >/proc/sys/vm/stat_interval
}
# Who starts a KUnit suite waits for it, however long it takes.
echo 0 >/proc/sys/kernel/hung_task_timeout_secs
echo "<6>$mark boot end" >/dev/kmsg
"#;

/// The script for some suites; those that the kernel runs while it boots need nothing.
pub fn text(suites: &[&Suite]) -> String {
    let mut text = format!("mark={:?}\n{PRELUDE}", MARK);
    let is_program = |s: &&&Suite| matches!(s.how, How::Program(..));
    if suites.iter().any(|s| is_program(&s)) {
        text.push_str(&format!("echo {HUGE_PAGES} >/proc/sys/vm/nr_hugepages\n"));
    }
    for suite in suites {
        let name = suite.name;
        let run = match suite.how {
            How::Boot(_) => continue,
            How::Kunit(names) => Some(format!("kunit {}", names.join(" "))),
            How::Load(_) => None,
            How::Program(_, program) => Some(program_path(Path::new(program))),
            How::Benchmark(pairs) => Some(format!("(\n{})", benchmark::script(pairs, SECONDS))),
        };
        let module = suite.module.map(|file| program_path(Path::new(file)));
        let load = module.iter().map(|file| format!("load {file}"));
        let unload = module.iter().map(|file| format!("unload {file}"));
        let all: Vec<String> = load.chain(run).chain(unload).collect();
        let all = all.join(" && ");
        text.push_str(&match suite.one_cpu {
            false => format!("begin {name}\n{all}\nend {name} $?\n"),
            true => format!("one_cpu\nbegin {name}\n{all}\nend {name} $?\nall_cpus\n"),
        });
    }
    text
}

/// Writes the script to where a guest's plan finds it.
pub fn write(host: &Host, suites: &[&Suite]) -> Result<PathBuf> {
    let text = text(suites);
    let key = Key::new("selftests.sh").with("text", &text);
    let entry = host.env.cache(&host.exec)?.entry("programs", &key);
    let dir = entry.get_or_make("script", |dir| {
        if host.exec.dry_run {
            return Ok(());
        }
        let path = dir.join(NAME);
        std::fs::write(&path, &text).map_err(io("cannot write", &path))
    })?;
    Ok(dir.join(NAME))
}

/// How the step is called in logs.
const NAME: &str = "selftests.sh";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_stands_between_its_marks() {
        let suites: Vec<&Suite> = crate::selftests::suite::SUITES.iter().collect();
        let text = text(&suites);
        for suite in suites {
            let begin = format!("begin {}\n", suite.name);
            let end = format!("end {} $?\n", suite.name);
            let is_run = !matches!(suite.how, How::Boot(_));
            assert_eq!(
                text.matches(&begin).count(),
                usize::from(is_run),
                "{}",
                suite.name
            );
            assert_eq!(
                text.matches(&end).count(),
                usize::from(is_run),
                "{}",
                suite.name
            );
        }
        assert!(text.contains("nr_hugepages"));
        assert!(!super::text(&[]).contains("nr_hugepages"));
    }
}
