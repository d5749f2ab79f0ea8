// SPDX-License-Identifier: GPL-2.0-only
//! As much of GDB's remote protocol as it takes to follow a guest instruction by instruction.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::process::check;

/// Number of the stack pointer among x86_64's registers.
const RSP: u32 = 7;
/// Number of the instruction pointer.
const RIP: u32 = 16;

/// A connection to the stub in QEMU; the guest stands still until it is told to go on.
#[derive(Debug)]
pub struct Gdb {
    stream: UnixStream,
    rest: Vec<u8>,
}

impl Gdb {
    /// Connects as soon as QEMU listens.
    pub fn connect(socket: &Path, patience: Duration) -> Result<Gdb> {
        let begun = Instant::now();
        loop {
            check()?;
            match UnixStream::connect(socket) {
                Ok(stream) => {
                    let rest = Vec::new();
                    return Ok(Gdb { stream, rest });
                }
                Err(e) if begun.elapsed() > patience => {
                    return Err(Error::failed("cannot connect to QEMU's debugger port").because(e))
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Sends a command and returns the answer.
    fn command(&mut self, text: &str) -> Result<String> {
        self.stream.write_all(&packet(text)).map_err(gone)?;
        loop {
            if let Some(answer) = take(&mut self.rest) {
                // If nobody is there to take it, the next command will tell.
                let _ = self.stream.write_all(b"+");
                return Ok(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).map_err(gone)? {
                0 => return Err(gone("it closed the connection")),
                n => self.rest.extend_from_slice(&buffer[..n]),
            }
        }
    }

    fn number(&mut self, command: &str) -> Result<u64> {
        let answer = self.command(command)?;
        little_endian(&answer)
            .ok_or_else(|| Error::failed(format!("QEMU answered `{answer}` to `{command}`")))
    }

    /// Where the guest is.
    pub fn pc(&mut self) -> Result<u64> {
        self.number(&format!("p{RIP:x}"))
    }

    /// Its stack pointer.
    pub fn sp(&mut self) -> Result<u64> {
        self.number(&format!("p{RSP:x}"))
    }

    /// Eight bytes of its memory.
    pub fn word(&mut self, address: u64) -> Result<u64> {
        self.number(&format!("m{address:x},8"))
    }

    /// Runs until an address is reached.
    pub fn run_to(&mut self, address: u64) -> Result<()> {
        self.command(&format!("Z1,{address:x},1"))?;
        let stopped = self.command("c")?;
        if !stopped.starts_with('T') && !stopped.starts_with('S') {
            return Err(gone(format!("it said {stopped}")));
        }
        self.command(&format!("z1,{address:x},1"))?;
        Ok(())
    }

    /// Executes one instruction.
    pub fn step(&mut self) -> Result<()> {
        self.command("s")?;
        Ok(())
    }

    /// Lets the guest go on alone.
    pub fn detach(mut self) -> Result<()> {
        self.command("D")?;
        Ok(())
    }
}

fn gone(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::failed("QEMU's debugger port went away").because(why)
}

fn packet(text: &str) -> Vec<u8> {
    let sum = text.bytes().fold(0u8, u8::wrapping_add);
    format!("${text}#{sum:02x}").into_bytes()
}

/// Takes the first whole packet out of what was received.
fn take(received: &mut Vec<u8>) -> Option<String> {
    let begin = received.iter().position(|b| *b == b'$')?;
    let length = received[begin..].iter().position(|b| *b == b'#')?;
    let end = begin + length;
    if received.len() < end + 3 {
        return None;
    }
    let text = String::from_utf8_lossy(&received[begin + 1..end]).into_owned();
    received.drain(..end + 3);
    Some(text)
}

/// Bytes in hexadecimal, the least first.
fn little_endian(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let byte = |at: usize| u64::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let mut number = 0;
    for at in (0..text.len()).step_by(2).rev() {
        number = number << 8 | byte(at)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets() {
        assert_eq!(packet("p10"), b"$p10#d1");
        let mut received = b"+$T05thread:01;#07+$OK#9".to_vec();
        assert_eq!(take(&mut received).unwrap(), "T05thread:01;");
        assert_eq!(take(&mut received), None);
        received.push(b'a');
        assert_eq!(take(&mut received).unwrap(), "OK");
        assert_eq!(take(&mut received), None);
    }

    #[test]
    fn numbers() {
        assert_eq!(
            little_endian("a0e80d81ffffffff"),
            Some(0xffff_ffff_810d_e8a0)
        );
        for wrong in ["", "E01", "xx", "001122334455667788"] {
            assert_eq!(little_endian(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_stub_that_goes_away_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gdb");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let stub = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 16];
            let _ = stream.read(&mut buffer).unwrap();
            stream.write_all(&packet("0100000000000000")).unwrap();
        });
        let mut gdb = Gdb::connect(&path, Duration::from_secs(5)).unwrap();
        assert_eq!(gdb.pc().unwrap(), 1);
        stub.join().unwrap();
        let error = gdb.pc().unwrap_err();
        assert!(error.message().contains("went away"), "{error}");
    }
}
