//! Credentials of the process at the other end of a Unix stream.

use libc::{gid_t, pid_t, uid_t};

/// The process, user and group at the other end of a Unix stream, at the time when it connected,
/// listened or created the pair.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let (near, _far) = wakeful_net::UnixStream::pair()?;
///     assert_eq!(near.peer_cred()?.pid(), Some(std::process::id() as i32));
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    pid: pid_t,
    uid: uid_t,
    gid: gid_t,
}

impl UCred {
    pub(super) fn new(cred: libc::ucred) -> Self {
        Self {
            pid: cred.pid,
            uid: cred.uid,
            gid: cred.gid,
        }
    }

    /// Returns the user id.
    #[must_use]
    pub fn uid(&self) -> uid_t {
        self.uid
    }

    /// Returns the group id.
    #[must_use]
    pub fn gid(&self) -> gid_t {
        self.gid
    }

    /// Returns the process id; `None` for a process without an id in this namespace, such as one
    /// outside this container.
    #[must_use]
    pub fn pid(&self) -> Option<pid_t> {
        (self.pid != 0).then_some(self.pid)
    }
}
