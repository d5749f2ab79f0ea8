// SPDX-License-Identifier: GPL-2.0-only
//! One guest from its first file to its last word: boots it, watches it, reads its log, leaves nothing behind.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use dmasan_report::{Options, Parser, Report, Unparseable};

use crate::cache::Cache;
use crate::console::{Answers, Tail};
use crate::error::{io, Error, Result};
use crate::exec::{Cmd, Exec};
use crate::guest::{self, Plan};
use crate::host;
use crate::initramfs;
use crate::kernel::Kernel;
use crate::let_down::let_down;
use crate::machine::Model;
use crate::process;
use crate::qemu::{self, Files, Machine};
use crate::root::Env;
use crate::stdout;
use crate::ui::{Step as Progress, Ui};

/// How many logs of earlier runs are kept in the cache.
const LOGS_KEPT: usize = 200;
/// How many of the last console lines a failure shows.
const LAST_LINES: usize = 25;
/// A guest that says nothing for so long while it boots stands still. On a host with much else to do it says something
/// every few seconds.
const STILL: Duration = Duration::from_secs(60);
/// After a panic the guest ends by itself; if the user's command line prevents that, it gets this long.
const AFTER_PANIC: Duration = Duration::from_secs(3);

/// What guests are run with.
#[derive(Clone, Debug)]
pub struct Host {
    /// Runs commands, tells progress.
    pub exec: Exec,
    /// Keeps logs.
    pub cache: Cache,
    /// Has QEMU, busybox and the working area.
    pub env: Env,
}

impl Host {
    /// Opens the cache and prepares the environment for guests on a machine.
    pub fn prepare(exec: &Exec, model: &Model) -> Result<Host> {
        let cache = Cache::open(exec)?;
        let env = Env::prepare(exec, &cache, model.arch)?;
        if model.since.is_some() {
            let query = env.cmd(model.arch.qemu()).arg("--version").query();
            // A dry run may have no QEMU yet.
            let text = exec.output(&query).unwrap_or_default();
            host::version(&text).map_or(Ok(()), |version| model.check_qemu(version))?;
        }
        Ok(Host {
            exec: exec.clone(),
            cache,
            env,
        })
    }
}

/// A guest to boot.
#[derive(Clone, Debug)]
pub struct Guest<'a> {
    /// How messages name it.
    pub what: &'a str,
    /// Its kernel.
    pub kernel: &'a Kernel,
    /// Its hardware.
    pub machine: &'a Machine,
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// What it does.
    pub plan: &'a Plan,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a guest ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself, after its last step.
    Done,
    /// Its kernel panicked.
    Panic,
    /// It was still running when its time was up.
    Hang(Duration),
    /// It began to boot, and then said nothing for so long.
    Still(Duration),
    /// It went away before its last step was done.
    Early(ExitStatus),
    /// The user ended it.
    Interrupted,
}

/// Everything a guest left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it answered.
    pub answers: Answers,
    /// What its kernel log says, if that is one.
    pub report: std::result::Result<Report, Unparseable>,
    /// Where the kernel log is kept.
    pub log: PathBuf,
    /// Last lines of the kernel log.
    pub last_lines: Vec<String>,
    /// How long it ran.
    pub took: Duration,
}

#[cfg(test)]
impl Outcome {
    /// A guest that has answered nothing, with this kernel log behind the first line of all.
    pub(crate) fn of_log(end: End, log: &str) -> Outcome {
        let log = format!("[    0.100000] Linux version 7.3.4 (x)\n{log}");
        Outcome {
            end,
            answers: Answers::default(),
            report: dmasan_report::parse(log.as_bytes()),
            log: PathBuf::new(),
            last_lines: Vec::new(),
            took: Duration::ZERO,
        }
    }
}

/// Boots a guest and waits for its end. In a dry run the command is printed and there is no outcome.
///
/// A guest that QEMU let down is booted once more, which is said; if it is the guest's fault, that is the same.
pub fn boot(host: &Host, guest: &Guest<'_>) -> Result<Option<Outcome>> {
    let first = boot_once(host, guest)?;
    let Some((outcome, why)) = first.as_ref().and_then(|o| Some((o, let_down(o)?))) else {
        return Ok(first);
    };
    let log = outcome.log.display();
    let ui = &host.exec.ui;
    ui.warn(&format!(
        "{why} before the first step, and is booted once more (log: {log})"
    ));
    boot_once(host, guest)
}

fn boot_once(host: &Host, guest: &Guest<'_>) -> Result<Option<Outcome>> {
    let nonce = nonce();
    let files = Files {
        kernel: host.env.inside(&guest.kernel.image),
        dir: host.env.inside(&run_root(&host.env).join(run_name(&nonce))),
    };
    let arch = guest.machine.model.arch;
    let program = host.env.cmd(arch.qemu()).name("QEMU");
    let command = qemu::command(program, guest.machine, &files, guest.cmdline);
    let init = guest::init(guest.plan, &nonce, arch.ports()[1]);
    if host.exec.dry_run {
        // QEMU's own line has the paths that it sees inside of the environment.
        let outside = run_root(&host.env).join(run_name(&nonce));
        stdout::line(&Cmd::new("mkdir").arg("-p").arg(&outside).to_shell())?;
        for name in [Files::INITRD]
            .map(str::to_owned)
            .into_iter()
            .chain(qemu::drives(guest.machine))
        {
            stdout::line(&format!("# write {}", outside.join(name).display()))?;
        }
        host.exec.spawn(&command, None)?;
        return Ok(None);
    }
    let dir = RunDir::make(&host.env, &nonce)?;
    let busybox = initramfs::busybox(&host.env)?;
    initramfs::write(&dir.path.join(Files::INITRD), &busybox, guest.plan, &init)?;
    for name in qemu::drives(guest.machine) {
        let path = dir.path.join(name);
        let file = File::create(&path).map_err(io("cannot write", &path))?;
        file.set_len(qemu::DRIVE_BYTES)
            .map_err(io("cannot write", &path))?;
    }
    let progress = host.exec.ui.step(&format!("Running {}", guest.what));
    let qemu_log = dir.path.join("qemu.log");
    let begun = Instant::now();
    let mut running = host.exec.spawn(&command, Some(&qemu_log))?;
    let mut watch = Watch::new(
        guest.plan,
        guest.timeout,
        &dir.path,
        &host.exec.ui,
        &progress,
    );
    if guest.machine.gdb.is_some() {
        // With a debugger it stands still on purpose.
        watch.still = Duration::MAX;
    }
    let end = watch.until_end(&mut running);
    running.kill();
    watch.poll(true);
    let log = keep_log(host, &dir.path, &nonce);
    // Ctrl-C also ends QEMU, and that may be seen first. What the guest has left until then is worth keeping.
    let end = match process::check() {
        Err(_) => End::Interrupted,
        Ok(()) => end?,
    };
    if let End::Early(status) = end {
        check_started(&watch, status, &qemu_log)?;
    }
    let outcome = Outcome {
        end,
        report: read_log(&dir.path, &nonce)?,
        answers: watch.answers,
        log: log?,
        last_lines: watch.last_lines.into(),
        took: begun.elapsed(),
    };
    match outcome.end {
        End::Interrupted => {}
        End::Still(_) => progress.done("guest stood still"),
        _ => progress.done("guest ended"),
    }
    Ok(Some(outcome))
}

/// Follows a guest that runs.
struct Watch<'a> {
    plan: &'a Plan,
    ui: &'a Ui,
    progress: &'a Progress,
    console: Tail,
    control: Tail,
    answers: Answers,
    last_lines: VecDeque<String>,
    panicked: bool,
    deadline: Instant,
    timeout: Duration,
    /// When the console said something last.
    heard: Option<Instant>,
    still: Duration,
}

impl<'a> Watch<'a> {
    fn new(
        plan: &'a Plan,
        timeout: Duration,
        dir: &Path,
        ui: &'a Ui,
        progress: &'a Progress,
    ) -> Self {
        Watch {
            plan,
            ui,
            progress,
            console: Tail::new(&dir.join(Files::CONSOLE)),
            control: Tail::new(&dir.join(Files::CONTROL)),
            answers: Answers::default(),
            last_lines: VecDeque::new(),
            panicked: false,
            deadline: Instant::now() + timeout,
            timeout,
            heard: None,
            still: STILL,
        }
    }

    fn until_end(&mut self, running: &mut crate::exec::Running) -> Result<End> {
        loop {
            let soon = Instant::now() + Duration::from_millis(100);
            let ended = running.wait_until(soon, &mut || {})?;
            self.poll(ended.is_some());
            if self.panicked && (ended.is_some() || Instant::now() >= self.deadline) {
                return Ok(End::Panic);
            }
            if let Some(status) = ended {
                return Ok(if self.answers.done {
                    End::Done
                } else {
                    End::Early(status)
                });
            }
            if Instant::now() >= self.deadline {
                return Ok(End::Hang(self.timeout));
            }
            let is_still = self.heard.is_some_and(|h| h.elapsed() >= self.still);
            if is_still && !self.panicked && !self.answers.began() {
                return Ok(End::Still(self.still));
            }
        }
    }

    fn poll(&mut self, last: bool) {
        let read = |tail: &mut Tail| {
            if last {
                tail.last_lines()
            } else {
                tail.lines()
            }
        };
        for line in read(&mut self.console) {
            self.heard = Some(Instant::now());
            if line.contains("Kernel panic - not syncing") && !self.panicked {
                self.panicked = true;
                self.deadline = self.deadline.min(Instant::now() + AFTER_PANIC);
            }
            if self.ui.verbose > 0 {
                self.ui.note(&line);
            }
            if self.last_lines.len() == LAST_LINES {
                self.last_lines.pop_front();
            }
            self.last_lines.push_back(line);
        }
        for line in read(&mut self.control) {
            self.answers.take(&line);
        }
        let step = self.answers.current.and_then(|n| self.plan.step(n));
        self.progress.message(step.map_or("", |s| s.text.as_str()));
    }
}

/// A guest that never wrote a line: QEMU itself failed, and has said why.
fn check_started(watch: &Watch<'_>, status: ExitStatus, qemu_log: &Path) -> Result<()> {
    if !watch.last_lines.is_empty() || status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(qemu_log).unwrap_or_default();
    let said = text.lines().skip(1).collect::<Vec<_>>().join("\n");
    Err(Error::failed(format!("QEMU did not start ({status})"))
        .because(said)
        .help("see the command with -v"))
}

fn read_log(dir: &Path, nonce: &str) -> Result<std::result::Result<Report, Unparseable>> {
    let path = dir.join(Files::CONSOLE);
    let log = fs::read(&path).unwrap_or_default();
    let mut parser = Parser::new(Options {
        nonce: Some(nonce.to_owned()),
    });
    parser
        .read(log.as_slice())
        .map_err(io("cannot read", &path))?;
    Ok(parser.finish())
}

/// Copies the kernel log into the cache and drops the oldest ones.
fn keep_log(host: &Host, dir: &Path, nonce: &str) -> Result<PathBuf> {
    let runs = host.cache.root().join("runs");
    fs::create_dir_all(&runs).map_err(io("cannot create", &runs))?;
    let log = runs.join(format!("{nonce}.log"));
    let console = dir.join(Files::CONSOLE);
    if console.exists() {
        fs::copy(&console, &log).map_err(io("cannot write", &log))?;
    } else {
        fs::write(&log, "").map_err(io("cannot write", &log))?;
    }
    let mut logs: Vec<PathBuf> = fs::read_dir(&runs)
        .map_err(io("cannot read", &runs))?
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    // Names begin with the time.
    logs.sort();
    for old in logs.iter().rev().skip(LOGS_KEPT) {
        // Another run may have deleted it already.
        let _ = fs::remove_file(old);
    }
    Ok(log)
}

/// Marks one run: its time and process, so that names sort by time and no two are equal.
fn nonce() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = now.unwrap_or_default().as_micros();
    format!("{micros:014x}{:06x}", std::process::id())
}

fn run_root(env: &Env) -> PathBuf {
    env.work().join("runs")
}

fn run_name(nonce: &str) -> String {
    format!("{}-{nonce}", std::process::id())
}

/// The folder of one run; deleted when dropped.
#[derive(Debug)]
pub struct RunDir {
    /// Where it is.
    pub path: PathBuf,
}

impl RunDir {
    /// Makes one; `nonce` tells it from others of this process.
    pub fn make(env: &Env, nonce: &str) -> Result<RunDir> {
        let root = run_root(env);
        remove_remains(&root, "");
        let path = root.join(run_name(nonce));
        fs::create_dir_all(&path).map_err(io("cannot create", &path))?;
        Ok(RunDir { path })
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // What cannot be deleted now is deleted by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Deletes folders of runs that were killed: their process, whose number their names have after `prefix`, is no more.
pub fn remove_remains(root: &Path, prefix: &str) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(prefix));
        let owner = owner.and_then(|n| n.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the watch ends on a guest that says `console` and `answers`, and then lives on in silence.
    fn watched(console: &str, answers: &str) -> End {
        let exec = Exec::new(Ui::new(0, crate::ui::Color::Never), false);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(Files::CONSOLE), console).unwrap();
        fs::write(dir.path().join(Files::CONTROL), answers).unwrap();
        let (plan, progress) = (Plan::new(&[], None), exec.ui.step("x"));
        let timeout = Duration::from_secs(2);
        let mut watch = Watch::new(&plan, timeout, dir.path(), &exec.ui, &progress);
        watch.still = Duration::from_millis(300);
        let mut running = exec.spawn(&Cmd::new("sleep").arg("60"), None).unwrap();
        let end = watch.until_end(&mut running).unwrap();
        running.kill();
        end
    }

    #[test]
    fn a_guest_stands_still_only_while_it_boots() {
        let still = End::Still(Duration::from_millis(300));
        let hang = End::Hang(Duration::from_secs(2));
        assert_eq!(watched("Linux version 7.3.4\n", ""), still);
        assert_eq!(watched("Linux version 7.3.4\n", "begin 1\n"), hang);
        // With `quiet` nothing is known.
        assert_eq!(watched("", ""), hang);
    }

    #[test]
    fn remains_of_dead_runs_go_and_others_stay() {
        let root = tempfile::tempdir().unwrap();
        // Above the largest process id that Linux can give.
        let dead = root.path().join("4194305-x");
        let alive = root.path().join(run_name("x"));
        fs::create_dir(&dead).unwrap();
        fs::create_dir(&alive).unwrap();
        remove_remains(root.path(), "");
        assert!(!dead.exists() && alive.exists());
        let dead = root.path().join("run-4194305");
        let others = root.path().join("kept");
        fs::create_dir(&dead).unwrap();
        fs::create_dir(&others).unwrap();
        remove_remains(root.path(), "run-");
        assert!(!dead.exists() && alive.exists() && others.exists());
    }
}
