// SPDX-License-Identifier: GPL-2.0-only
//! What a guest does from boot to power-off: the plan of its steps, and the init script that carries it out.
//!
//! Steps are numbered from 1. Around each one init writes marks into the kernel log, so that a finding belongs
//! to the step in which it was made; the result of each goes to the second serial port (see [`crate::console`]).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::exec::quote;
use crate::modinfo;

/// The kernel takes at most about a thousand bytes in one write to /dev/kmsg.
const TEXT_MAX: usize = 300;

/// A module to load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Load {
    /// The `.ko` file on the host.
    pub file: PathBuf,
    /// Parameters, `name=value` each.
    pub params: Vec<String>,
    /// What the user called the module; the same again replaces the earlier one.
    pub path: String,
}

impl Load {
    /// The name that the kernel gives to the module.
    pub fn name(&self) -> String {
        modinfo::name(&self.file)
    }

    fn text(&self) -> String {
        let mut words = vec![self.name()];
        words.extend(self.params.iter().cloned());
        words.join(" ")
    }
}

/// What is done in a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// `insmod`.
    Load(Load),
    /// `rmmod`.
    Unload(String),
    /// The user's script.
    Script,
    /// A part of a script of the project's: the word that it is called with.
    Phase(String),
}

impl Action {
    /// Whether a module is loaded or unloaded.
    pub fn is_module(&self) -> bool {
        matches!(self, Action::Load(_) | Action::Unload(_))
    }
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// How people are told.
    pub text: String,
    /// Index of the request it serves: an unload belongs to the load it ends.
    pub request: usize,
}

/// All steps of a guest, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The steps until everything asked for is done.
    pub work: Vec<Step>,
    /// The unloading of what is loaded then; done also if the work failed.
    pub cleanup: Vec<Step>,
    /// The script on the host.
    pub script: Option<PathBuf>,
    /// Programs on the host that the script wants; they have to run without libraries.
    pub programs: Vec<PathBuf>,
    /// Whether the guest tells the sanitizer's counts before and after each step.
    pub counts: bool,
}

impl Plan {
    /// Loads the modules of each request in order, then runs the script, then unloads in reverse order. A request
    /// for a path that is loaded already unloads it first.
    pub fn new(requests: &[Vec<Load>], script: Option<&Path>) -> Plan {
        let mut plan = Plan {
            script: script.map(Path::to_owned),
            ..Plan::default()
        };
        let mut loaded: Vec<(usize, &Load)> = Vec::new();
        for (request, loads) in requests.iter().enumerate() {
            let again = |l: &Load| loads.iter().any(|new| new.path == l.path);
            let (old, kept) = loaded.into_iter().partition(|(_, l)| again(l));
            loaded = kept;
            plan.work.extend(unloads(old));
            plan.work.extend(loads.iter().map(|l| load(request, l)));
            loaded.extend(loads.iter().map(|l| (request, l)));
        }
        if let Some(script) = script {
            let name = script.file_name().unwrap_or(script.as_os_str());
            plan.work.push(Step {
                action: Action::Script,
                text: format!("script {}", name.to_string_lossy()),
                request: requests.len(),
            });
        }
        plan.cleanup = unloads(loaded);
        plan
    }

    /// Every step; the first has number 1.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.work.iter().chain(&self.cleanup)
    }

    /// The step with a number.
    pub fn step(&self, number: u32) -> Option<&Step> {
        self.steps().nth((number as usize).checked_sub(1)?)
    }

    /// The module files, each once; the guest has them at [`guest_path`].
    pub fn modules(&self) -> Vec<&Path> {
        let mut files: Vec<&Path> = Vec::new();
        for step in self.steps() {
            if let Action::Load(load) = &step.action {
                if !files.contains(&load.file.as_path()) {
                    files.push(&load.file);
                }
            }
        }
        files
    }
}

fn load(request: usize, load: &Load) -> Step {
    Step {
        text: load.text(),
        action: Action::Load(load.clone()),
        request,
    }
}

fn unloads(mut loaded: Vec<(usize, &Load)>) -> Vec<Step> {
    loaded.reverse();
    let unload = |(request, load): (usize, &Load)| Step {
        text: format!("unload {}", load.text()),
        action: Action::Unload(load.name()),
        request,
    };
    loaded.into_iter().map(unload).collect()
}

/// Where the guest has a module file: modules of one name may come from several folders.
pub fn guest_path(modules: &[&Path], file: &Path) -> String {
    let index = modules.iter().position(|m| *m == file).unwrap_or(0);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("/modules/{index}/{name}")
}

/// Where the guest has a program.
pub fn program_path(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("/programs/{name}")
}

/// Where the guest has the script.
pub const SCRIPT: &str = "/script";

/// The fixed part of the init script: set-up and one function per kind of step.
const PRELUDE: &str = r#"/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
cd /root

# The kernel's console has the first port to itself; answers go out by the second one.
exec </dev/null >"/dev/$port" 2>&1
stty -opost
stats=/sys/kernel/debug/dmasan/stats

begin() { counts "$1"; echo "<6>dmasan: step $nonce $1 begin $2" >/dev/kmsg; echo "begin $1"; }
end() { echo "<6>dmasan: step $nonce $1 end rc=$2" >/dev/kmsg; echo "step $1 rc=$2"; counts "$1"; return "$2"; }

# Marks what others print, so that it cannot be taken for an answer.
quoted() { while IFS= read -r line || [ -n "$line" ]; do printf '| %s\n' "$line"; done; }

# The folder of a driver has a link to each device that is bound to it. When one comes or goes, the kernel sets the
# folder's time, but only if somebody has set it before.
age_drivers() {
	for driver in /sys/module/"$1"/drivers/*; do
		[ ! -d "$driver" ] || touch -c -d @0 "$driver"
	done
}

# Whether a module has drivers, and none of them has a device or has had one.
idle() {
	for driver in /sys/module/"$1"/drivers/*; do
		[ -d "$driver" ] && [ "$(stat -L -c %Y "$driver")" = 0 ] || return 1
		for device in "$driver"/*; do
			[ ! -e "$device/driver" ] || return 1
		done
	done
}

# From a pipe, which finit_module() refuses: where that fails insmod tries init_module(), and a module whose init
# fails would be started twice.
load() {
	number=$1 text=$2 name=$3 file=$4; shift 4
	begin "$number" "$text"
	cat "$file" | insmod /dev/stdin "$@" >/tmp/out 2>&1; rc=$?
	[ "$rc" -ne 0 ] || age_drivers "$name"
	quoted </tmp/out
	end "$number" "$rc"
}

unload() {
	[ -d "/sys/module/$3" ] || return 0
	idle "$3" && echo "unbound $1"
	begin "$1" "$2"
	rmmod "$3" >/tmp/out 2>&1; rc=$?
	quoted </tmp/out
	end "$1" "$rc"
}

script() {
	number=$1 text=$2; shift 2
	begin "$number" "$text"
	{ sh /script "$@" 2>&1; echo $? >/tmp/rc; } | quoted
	end "$number" "$(cat /tmp/rc)"
}

# What is counted just now. Looks at all of memory, so only where it is asked for; nothing without the sanitizer.
counts() {
	[ -n "$counts" ] && [ -r "$stats" ] || return 0
	echo "counts $1 $(sed -n 's/^sum_of_counts: //p' "$stats") $(sed -n 's/^pages_negative: //p' "$stats")"
}

# How many pages keep further bugs with them silent; nothing without the sanitizer.
reported() { sed -n 's/^pages_reported: /reported /p' "$stats" 2>/dev/null; }
"#;

/// The init script of a plan. `nonce` marks the steps of this run in the kernel log; answers go to the serial `port`.
pub fn init(plan: &Plan, nonce: &str, port: &str) -> String {
    let modules = plan.modules();
    let mut text =
        format!("#!/bin/busybox sh\n# Written by dmasan for one run.\nport={port}\n{PRELUDE}\nnonce={nonce}\n");
    text.push_str(if plan.counts {
        "counts=yes\n"
    } else {
        "counts=\n"
    });
    text.push_str("work() {\n\t:\n");
    let mut number = 0;
    for step in &plan.work {
        number += 1;
        text.push_str(&format!("\t{} || return\n", call(step, number, &modules)));
    }
    text.push_str("}\nwork\n");
    for step in &plan.cleanup {
        number += 1;
        text.push_str(&format!("{}\n", call(step, number, &modules)));
    }
    text.push_str("reported\necho done\nsync\nreboot -f\n");
    text
}

fn call(step: &Step, number: u32, modules: &[&Path]) -> String {
    let mut words = match &step.action {
        Action::Load(_) => vec!["load".to_owned()],
        Action::Unload(_) => vec!["unload".to_owned()],
        Action::Script | Action::Phase(_) => vec!["script".to_owned()],
    };
    words.push(number.to_string());
    words.push(word(&one_line(&step.text)));
    match &step.action {
        Action::Load(load) => {
            words.push(word(&load.name()));
            words.push(word(&guest_path(modules, &load.file)));
            words.extend(load.params.iter().map(|p| word(p)));
        }
        Action::Unload(name) => words.push(word(name)),
        Action::Phase(name) => words.push(word(name)),
        Action::Script => {}
    }
    words.join(" ")
}

fn word(text: &str) -> String {
    quote(OsStr::new(text))
}

/// Text for the kernel log: one line, not too long, printable.
fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(TEXT_MAX).map(clean).collect();
    if text.chars().nth(TEXT_MAX).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(path: &str, file: &str, params: &[&str]) -> Load {
        Load {
            file: file.into(),
            params: params.iter().map(|p| (*p).to_owned()).collect(),
            path: path.to_owned(),
        }
    }

    fn texts(plan: &Plan) -> Vec<&str> {
        plan.steps().map(|s| s.text.as_str()).collect()
    }

    #[test]
    fn the_same_path_again_is_loaded_anew() {
        let requests = [
            vec![load("a", "/b/a.ko", &["bug=1"])],
            vec![load("b", "/b/b-c.ko", &[])],
            vec![load("a", "/b/a.ko", &["bug=0"])],
        ];
        let plan = Plan::new(&requests, Some(Path::new("/x/try.sh")));
        assert_eq!(
            texts(&plan),
            [
                "a bug=1",
                "b_c",
                "unload a bug=1",
                "a bug=0",
                "script try.sh",
                "unload a bug=0",
                "unload b_c"
            ]
        );
        assert_eq!(plan.step(3).unwrap().request, 0);
        assert_eq!(plan.step(6).unwrap().request, 2);
        assert_eq!(plan.cleanup.len(), 2);
        assert!(plan.step(0).is_none() && plan.step(8).is_none());
        assert_eq!(plan.modules().len(), 2);
    }

    #[test]
    fn init_quotes_what_the_user_gave() {
        let requests = [vec![load("a", "/b/a b.ko", &["s=it's $x"])]];
        let init = init(&Plan::new(&requests, None), "77", "ttyS1");
        assert!(
            init.contains(
                r#"load 1 'a b s=it'\''s $x' 'a b' '/modules/0/a b.ko' 's=it'\''s $x' || return"#
            ),
            "{init}"
        );
        assert!(
            init.ends_with(
                "unload 2 'unload a b s=it'\\''s $x' 'a b'\nreported\necho done\nsync\nreboot -f\n"
            ),
            "{init}"
        );
    }

    #[test]
    fn marks_are_one_short_line() {
        assert_eq!(one_line("a\nb"), "a b");
        let long = one_line(&"x".repeat(2000));
        assert_eq!(long.len(), TEXT_MAX + 3);
    }

    #[test]
    fn an_empty_plan_only_boots() {
        let init = init(&Plan::default(), "1", "ttyAMA1");
        assert!(
            init.contains("work() {\n\t:\n}\nwork\nreported\necho done\n"),
            "{init}"
        );
        assert!(init.contains("\nport=ttyAMA1\n"), "{init}");
    }
}
