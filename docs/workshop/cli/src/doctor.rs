//! Looks whether a machine has what the workshop needs.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::{fs, io};

use crate::{End, Problem, compile};

/// Looks whether this machine has what the workshop needs.
pub(crate) fn doctor() -> Result<End, Problem> {
    let mut end = End::Green;
    let mut report = |what: &str, result: Result<String, String>| match result {
        Ok(found) => println!("ok     {what}: {found}"),
        Err(problem) => {
            end = End::Red;
            println!("LACKS  {what}: {problem}");
        }
    };
    report(
        "Linux",
        match cfg!(target_os = "linux") {
            true => Ok(std::env::consts::ARCH.to_owned()),
            false => Err("epoll is Linux's; use the dev container in .devcontainer".to_owned()),
        },
    );
    report("rustc", rust_version());
    let stat = fs::read_to_string("/proc/thread-self/schedstat");
    report(
        "/proc",
        stat.map(|_| "the CPU time of threads is readable".to_owned()).map_err(|e| e.to_string()),
    );
    let connected = "a socket can listen, and another one connects".to_owned();
    report("loopback", connect().map(|()| connected).map_err(|e| e.to_string()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    report("cores", Ok(cores.to_string()));
    report("kernel and probe", compile::prepare().map(|()| "compiled".to_owned()));
    Ok(end)
}

/// Connects two sockets. In a network namespace without loopback a socket can listen, but not be reached.
fn connect() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    TcpStream::connect(listener.local_addr()?).map(drop)
}

fn rust_version() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let minor = text.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    match minor {
        Some(88..) => Ok(text),
        _ => Err(format!("1.88 or newer is needed, found: {text}")),
    }
}
