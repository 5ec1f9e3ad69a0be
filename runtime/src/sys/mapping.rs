//! Memory that is shared with other processes: a file, or a memfd.
//!
//! Called by the recorder. All access is atomic, because another process can read at any time.
//!
//! See `mmap(2)`, `memfd_create(2)`, `posix_fallocate(3)`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::check;

/// A shared mapping. Dropping it unmaps the memory and closes the descriptor.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u64>,
    /// In bytes.
    size: usize,
    /// Kept open, because another process reaches a memfd by /proc/PID/fd.
    _file: File,
}

impl Mapping {
    /// Maps memory without a file, filled with zeros. `name` is shown in /proc/PID/fd.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` or `ENOMEM`.
    pub(crate) fn anonymous(name: &'static std::ffi::CStr, size: usize) -> io::Result<Self> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: `name` is a string with a zero at its end, and the call keeps no pointer.
        let fd = check(unsafe { libc::memfd_create(name.as_ptr(), flags) })?;
        // SAFETY: the kernel has just returned `fd`, so nothing else owns it.
        let file = unsafe { File::from_raw_fd(fd) };
        let mapping = Self::map(file, size)?;
        // Access beyond the end of a file that has become shorter ends the process with SIGBUS.
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: the call takes an open descriptor and integers.
        check(unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) })?;
        Ok(mapping)
    }

    /// Maps a new file, filled with zeros. Replaces a file with this path, which is left as it is where it
    /// is mapped or open.
    ///
    /// # Errors
    ///
    /// The errors of `open(2)` and `posix_fallocate(3)`; `InvalidInput` if the path is not that of a file.
    pub(crate) fn of_file(path: &Path, size: usize) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => {
                let message = "it exists and is not a regular file";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            Ok(_) => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            // Addresses of peers and names of tasks are not for everyone.
            .mode(0o600)
            .open(path)?;
        let mapped = Self::map(file, size);
        if mapped.is_err() {
            // It has no recording, and can fill the disk. The first error is the one to report.
            fs::remove_file(path).ok();
        }
        mapped
    }

    /// Reserves the memory, because a store without room for it ends the process with SIGBUS.
    fn map(file: File, size: usize) -> io::Result<Self> {
        let length = libc::off_t::try_from(size).map_err(io::Error::other)?;
        loop {
            // SAFETY: the call takes an open descriptor and integers.
            match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
                0 => break,
                libc::EINTR => {}
                refused => return Err(io::Error::from_raw_os_error(refused)),
            }
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses, of an open file of this size.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Mapping {
            start,
            size,
            _file: file,
        })
    }

    /// Returns the memory as words of 64 bits.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has `size` bytes, begins at a page and lives as long as `self`. The memory is
        // initialized, and this process accesses it by atomics only, on one thread. So accesses of the two
        // sizes never race in it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.size / 8) }
    }

    /// Returns the memory as words of 32 bits.
    #[inline]
    pub(crate) fn halves(&self) -> &[AtomicU32] {
        // SAFETY: as in `words`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.size / 4) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this size, and no reference to it is left.
        let unmapped = unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
        debug_assert_eq!(unmapped, 0);
    }
}
