// SPDX-License-Identifier: GPL-2.0-only
//! Running other programs: one builder, one runner that knows dry runs, logs, progress and the last words of a failure.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{io, Error, Result};
use crate::last::Last;
use crate::process::{check, Group};
use crate::stdout;
use crate::ui::Ui;

/// A command to run.
#[derive(Clone, Debug)]
pub struct Cmd {
    prog: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    name: Option<String>,
    clean: bool,
    query: bool,
    grace: Duration,
}

impl Cmd {
    /// A command that runs `prog`.
    pub fn new(prog: impl AsRef<OsStr>) -> Self {
        Self {
            prog: prog.as_ref().to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            dir: None,
            name: None,
            clean: false,
            query: false,
            grace: Duration::from_secs(2),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs
            .push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory (a host path).
    #[must_use]
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.dir = Some(path.into());
        self
    }

    /// Names the command in messages, where the program itself is only a wrapper.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Gives the command no environment but what [`Cmd::env`] adds.
    #[must_use]
    pub fn clean(mut self) -> Self {
        self.clean = true;
        self
    }

    /// Marks a command that only looks: it runs also in a dry run.
    #[must_use]
    pub fn query(mut self) -> Self {
        self.query = true;
        self
    }

    /// How long the command may take to end by itself after Ctrl-C.
    #[must_use]
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// The command as one would type it into a shell.
    pub fn to_shell(&self) -> String {
        let mut words = Vec::new();
        if let Some(dir) = &self.dir {
            words.push(format!("cd {} &&", quote(dir.as_os_str())));
        }
        if self.clean {
            words.push("env -i".to_owned());
        }
        for (k, v) in &self.envs {
            words.push(format!("{}={}", k.to_string_lossy(), quote(v)));
        }
        words.push(quote(&self.prog));
        words.extend(self.args.iter().map(|a| quote(a)));
        words.join(" ")
    }

    fn shown(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| self.prog.to_string_lossy().into_owned())
    }

    fn command(&self) -> Command {
        let mut c = Command::new(&self.prog);
        c.args(&self.args).stdin(Stdio::null());
        if self.clean {
            c.env_clear();
        }
        c.envs(self.envs.iter().map(|(k, v)| (k, v)));
        if let Some(dir) = &self.dir {
            c.current_dir(dir);
        }
        c
    }
}

/// Quotes a word for a POSIX shell.
pub fn quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What a failed command said last; the reason inside the [`Error`].
#[derive(Debug)]
pub struct CmdFailed {
    /// How it ended.
    pub status: ExitStatus,
    /// The last lines of its output, and the first error before.
    pub last: Vec<String>,
    /// Where all of its output is.
    pub log: Option<PathBuf>,
}

impl fmt::Display for CmdFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.last {
            writeln!(f, "  | {line}")?;
        }
        match &self.log {
            Some(log) => write!(f, "full log: {}", log.display()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CmdFailed {}

/// Runs commands; cheap to clone.
#[derive(Clone, Debug)]
pub struct Exec {
    /// Where progress is told.
    pub ui: Ui,
    /// Print commands instead of running them.
    pub dry_run: bool,
    /// Where builds and guests are to run.
    pub place: Place,
}

/// The user's choice of where builds and guests run (`--env`, `DMASAN_ENV`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Place {
    /// The host if its tools suffice, else a root.
    #[default]
    Auto,
    /// A Debian root of the tool's own.
    Root,
    /// The host's own tools.
    Host,
}

impl Exec {
    /// A runner that reports to `ui`.
    pub fn new(ui: Ui, dry_run: bool) -> Self {
        Self {
            ui,
            dry_run,
            place: Place::Auto,
        }
    }

    /// The same with the user's choice of the environment.
    #[must_use]
    pub fn with_place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Runs to the end; output goes into `log` (appended) or is dropped. A failure carries the last lines,
    /// and the first error.
    pub fn run(&self, cmd: &Cmd, log: Option<&Path>) -> Result<()> {
        self.lines(cmd, log, &mut |_| {})
    }

    /// Runs to the end and returns stdout. In a dry run only [`Cmd::query`] commands run.
    pub fn output(&self, cmd: &Cmd) -> Result<String> {
        if !self.announce(cmd)? {
            return Ok(String::new());
        }
        let mut command = cmd.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = self.start(cmd, &mut command)?;
        let stderr = group.child().stderr.take().expect("is piped");
        let reader = std::thread::spawn(move || last_of(stderr));
        let mut text = Vec::new();
        let mut stdout = group.child().stdout.take().expect("is piped");
        let read = stdout.read_to_end(&mut text);
        let status = group.wait()?;
        check()?;
        read.map_err(|e| Error::failed(format!("cannot read from `{}`", cmd.shown())).because(e))?;
        finished(cmd, status, reader.join().unwrap_or_default(), None)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs to the end and gives each line of output (stdout and stderr together) to `on_line`.
    pub fn lines(
        &self,
        cmd: &Cmd,
        log: Option<&Path>,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<()> {
        if !self.announce(cmd)? {
            return Ok(());
        }
        let mut file = log.map(|l| open_log(l, cmd)).transpose()?;
        let mut command = cmd.command();
        let (mut group, read) = self.start_piped(cmd, &mut command)?;
        let mut last = Last::default();
        let mut reader = BufReader::new(read);
        while let Some(line) = next_line(&mut reader) {
            if let Some(file) = &mut file {
                writeln!(file, "{line}").map_err(io("cannot write", log.expect("is open")))?;
            }
            if self.ui.verbose > 1 {
                self.ui.note(&line);
            }
            on_line(&line);
            last.push(line);
        }
        let status = group.wait()?;
        check()?;
        finished(cmd, status, last, log)
    }

    /// Runs to the end and calls `poll` about ten times a second meanwhile.
    pub fn polled(&self, cmd: &Cmd, poll: &mut dyn FnMut()) -> Result<()> {
        if !self.announce(cmd)? {
            return Ok(());
        }
        let mut command = cmd.command();
        let (mut group, read) = self.start_piped(cmd, &mut command)?;
        let reader = std::thread::spawn(move || last_of(read));
        let status = loop {
            if let Some(status) = group.try_wait()? {
                break status;
            }
            poll();
            std::thread::sleep(Duration::from_millis(100));
        };
        check()?;
        finished(cmd, status, reader.join().unwrap_or_default(), None)
    }

    /// Runs to the end with a file as input and tells how much of it has been read.
    pub fn feed(&self, cmd: &Cmd, input: &Path, on_bytes: &mut dyn FnMut(u64)) -> Result<()> {
        if self.dry_run {
            let from = quote(input.as_os_str());
            return stdout::line(&format!("{} <{from}", cmd.to_shell()));
        }
        self.announce(cmd)?;
        let mut file = File::open(input).map_err(io("cannot open", input))?;
        let mut command = cmd.command();
        command.stdin(Stdio::piped());
        let (mut group, read) = self.start_piped(cmd, &mut command)?;
        let reader = std::thread::spawn(move || last_of(read));
        let mut pipe = group.child().stdin.take().expect("is piped");
        let mut buffer = vec![0; 1 << 18];
        let mut total = 0;
        loop {
            let n = file.read(&mut buffer).map_err(io("cannot read", input))?;
            // A reader that has gone away tells by its exit status what was wrong.
            if n == 0 || pipe.write_all(&buffer[..n]).is_err() {
                break;
            }
            total += n as u64;
            on_bytes(total);
        }
        drop(pipe);
        let status = group.wait()?;
        check()?;
        finished(cmd, status, reader.join().unwrap_or_default(), None)
    }

    /// Starts a command with stdout and stderr in one pipe, of which the read end is returned.
    fn start_piped(&self, cmd: &Cmd, command: &mut Command) -> Result<(Group, File)> {
        let no_pipe = |e| Error::failed("cannot make a pipe").because(e);
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
            .map_err(|e| no_pipe(std::io::Error::from(e)))?;
        command.stderr(write.try_clone().map_err(no_pipe)?);
        command.stdout(write);
        let group = self.start(cmd, command)?;
        // The command holds the write ends; with them open the reader would never see the end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok((group, File::from(read)))
    }

    /// Starts a command that runs beside us; output goes into `log` or is dropped.
    pub fn spawn(&self, cmd: &Cmd, log: Option<&Path>) -> Result<Running> {
        if !self.announce(cmd)? {
            return Ok(Running { group: None });
        }
        let mut command = cmd.command();
        match log {
            Some(path) => {
                let file = open_log(path, cmd)?;
                let both = file.try_clone().map_err(io("cannot write", path))?;
                command.stdout(file).stderr(both);
            }
            None => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
        }
        let group = self.start(cmd, &mut command)?;
        Ok(Running { group: Some(group) })
    }

    /// Shows the command as asked for; false if it is not to be run.
    fn announce(&self, cmd: &Cmd) -> Result<bool> {
        if self.dry_run && !cmd.query {
            stdout::line(&cmd.to_shell())?;
            return Ok(false);
        }
        if self.ui.verbose > 0 {
            self.ui.note(&format!("+ {}", cmd.to_shell()));
        }
        Ok(true)
    }

    fn start(&self, cmd: &Cmd, command: &mut Command) -> Result<Group> {
        Group::spawn(command, cmd.grace)?.map_err(|e| {
            let error = Error::failed(format!("cannot start `{}`: {e}", cmd.shown())).because(e);
            error.help(format!("the command was: {}", cmd.to_shell()))
        })
    }
}

/// A command that runs beside us; its whole group is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// None in a dry run: counts as ended well.
    group: Option<Group>,
}

impl Running {
    /// The exit status if it has ended.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        check()?;
        match &mut self.group {
            Some(group) => group.try_wait(),
            None => Ok(Some(ExitStatus::default())),
        }
    }

    /// Waits until the end or the deadline (then `None`), calling `poll` about every 50 ms.
    pub fn wait_until(
        &mut self,
        deadline: Instant,
        poll: &mut dyn FnMut(),
    ) -> Result<Option<ExitStatus>> {
        loop {
            let ended = self.try_wait()?;
            poll();
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a command to which Ctrl-C was passed on; what does not end in its time of grace is killed.
    pub fn wait_interrupted(&mut self) {
        if let Some(group) = &mut self.group {
            // It is ended whatever this says.
            let _ = group.wait();
        }
    }

    /// Kills it, group and all.
    pub fn kill(&mut self) {
        if let Some(group) = &mut self.group {
            group.kill();
        }
    }
}

fn open_log(path: &Path, cmd: &Cmd) -> Result<File> {
    let open = OpenOptions::new().create(true).append(true).open(path);
    let mut file = open.map_err(io("cannot write", path))?;
    writeln!(file, "$ {}", cmd.to_shell()).map_err(io("cannot write", path))?;
    Ok(file)
}

/// The next line, ended by LF or CR (progress displays use CR); bytes that are not UTF-8 are replaced.
fn next_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let buffer = reader.fill_buf().ok()?;
        if buffer.is_empty() {
            break;
        }
        let end = buffer.iter().position(|b| matches!(b, b'\n' | b'\r'));
        let taken = end.unwrap_or(buffer.len());
        line.extend_from_slice(&buffer[..taken]);
        reader.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
    }
    (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
}

fn last_of(stream: impl Read) -> Last {
    let mut reader = BufReader::new(stream);
    let mut last = Last::default();
    while let Some(line) = next_line(&mut reader) {
        last.push(line);
    }
    last
}

fn finished(cmd: &Cmd, status: ExitStatus, last: Last, log: Option<&Path>) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let reason = CmdFailed {
        status,
        last: last.lines(),
        log: log.map(Path::to_owned),
    };
    Err(Error::failed(format!("`{}` failed ({status})", cmd.shown())).because(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::last::TAIL;
    use crate::ui::Color;

    fn exec() -> Exec {
        Exec::new(Ui::new(0, Color::Never), false)
    }

    #[test]
    fn words_are_quoted() {
        let cmd = Cmd::new("a b").arg("it's").arg("").arg("x=1").arg("$HOME");
        assert_eq!(cmd.to_shell(), r"'a b' 'it'\''s' '' x=1 '$HOME'");
        let cmd = Cmd::new("make").env("V", "1 2").dir("/tmp");
        assert_eq!(cmd.to_shell(), "cd /tmp && V='1 2' make");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let odd = "a'b\"c $x `y` \\ z\n;";
        let text = Cmd::new("printf").arg("%s").arg(odd).to_shell();
        let out = exec().output(&Cmd::new("sh").arg("-c").arg(text)).unwrap();
        assert_eq!(out, odd);
    }

    #[test]
    fn a_failure_carries_the_last_lines() {
        let script = "for i in $(seq 100); do echo line $i; done; echo bad >&2; exit 3";
        let e = exec().run(&Cmd::new("sh").args(["-c", script]), None);
        let e = e.unwrap_err();
        assert_eq!(e.message(), "`sh` failed (exit status: 3)");
        let reason = std::error::Error::source(&e).unwrap();
        let failed = reason.downcast_ref::<CmdFailed>().unwrap();
        assert_eq!(failed.last.len(), TAIL);
        assert_eq!(failed.last.last().unwrap(), "bad");
    }

    #[test]
    fn a_full_disk_is_recognized_in_the_output() {
        let script = "echo 'cc1: No space left on device'; exit 1";
        let e = exec().run(&Cmd::new("sh").args(["-c", script]), None);
        assert_eq!(e.unwrap_err().advice(), Some(crate::error::NO_SPACE));
    }

    #[test]
    fn carriage_returns_end_lines() {
        let mut got = Vec::new();
        let cmd = Cmd::new("printf").arg(r"1\r2\r3\n4");
        exec()
            .lines(&cmd, None, &mut |l| got.push(l.to_owned()))
            .unwrap();
        assert_eq!(got, ["1", "2", "3", "4"]);
    }

    #[test]
    fn dry_runs_run_queries_only() {
        let mut exec = exec();
        exec.dry_run = true;
        let echo = Cmd::new("echo").arg("hi");
        assert_eq!(exec.output(&echo).unwrap(), "");
        assert_eq!(exec.output(&echo.query()).unwrap(), "hi\n");
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let mut running = exec().spawn(&Cmd::new("sleep").arg("60"), None).unwrap();
        let soon = Instant::now() + Duration::from_millis(100);
        assert!(running.wait_until(soon, &mut || {}).unwrap().is_none());
        running.kill();
        assert!(!running.try_wait().unwrap().unwrap().success());
    }
}
