//! io_uring(7), as far as the workshop needs it: receives that are started and complete later.
//!
//! From its start until its completion the kernel owns the buffer of a receive. So it moves into the ring, and
//! the completion returns it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::io;
use std::mem::{ManuallyDrop, offset_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::record::{note, recorded};
use crate::sys::{self, check};
use crate::{Epoll, Event, IN, Stream, script};

const ENTRIES: u32 = 8;
const SINGLE_MMAP: u32 = 1;
const OFFSET_OF_RINGS: i64 = 0;
const OFFSET_OF_ENTRIES: i64 = 0x1000_0000;
const RECV: u8 = 27;
const CANCEL: u8 = 14;

/// The id of a cancel itself; its completion says nothing.
const OF_CANCEL: u64 = u64::MAX;

/// Where the fields of a queue are. The layout is the kernel's, as in the structs below.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Offsets {
    head: u32,
    tail: u32,
    mask: u32,
    entries: u32,
    /// `flags` and `dropped` of the submission queue; `overflow` and the entries of the other one.
    fifth: u32,
    sixth: u32,
    /// The array of the submission queue.
    seventh: u32,
    rest: [u32; 3],
}

#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    thread_cpu: u32,
    thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: Offsets,
    cq: Offsets,
}

#[repr(C)]
struct Submission {
    opcode: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    length: u32,
    operation_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

#[repr(C)]
struct Completed {
    user_data: u64,
    result: i32,
    flags: u32,
}

/// A receive that has completed.
pub struct Completion {
    /// The number under which it was started.
    pub id: u64,
    /// Its buffer. The first bytes are those that were received.
    pub buffer: Vec<u8>,
    /// How many; 0 is the end of the stream.
    pub result: io::Result<usize>,
}

/// What the kernel uses until an operation completes.
struct InFlight {
    buffer: Vec<u8>,
    /// Keeps the number of the descriptor from being reused.
    _stream: Rc<Stream>,
}

/// A memory mapping.
struct Map(*mut u8, usize);

impl Map {
    fn new(fd: &OwnedFd, length: usize, offset: i64) -> io::Result<Map> {
        const READ_WRITE: i32 = 3;
        const SHARED_POPULATE: i32 = 0x8001;
        let fd = fd.as_raw_fd();
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let map = unsafe {
            sys::mmap(std::ptr::null_mut(), length, READ_WRITE, SHARED_POPULATE, fd, offset)
        };
        match map as isize {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(Map(map.cast(), length)),
        }
    }

    /// Returns a field that the kernel shares.
    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel named the offset of this mapping, and uses the aligned word atomically.
        unsafe { &*self.0.wrapping_add(offset as usize).cast::<AtomicU32>() }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nothing points into it any more.
        unsafe { sys::munmap(self.0.cast::<c_void>(), self.1) };
    }
}

/// A submission queue and a completion queue, shared with the kernel.
pub struct Ring {
    fd: OwnedFd,
    rings: Map,
    entries: Map,
    sq: Offsets,
    cq: Offsets,
    /// Reports that the completion queue is not empty.
    epoll: Epoll,
    in_flight: RefCell<HashMap<u64, InFlight>>,
    not_submitted: Cell<u32>,
}

impl Ring {
    /// Creates a ring.
    ///
    /// # Errors
    ///
    /// If io_uring is refused: ENOSYS by an old kernel, EPERM by a setting of the machine or a container.
    pub fn new() -> io::Result<Ring> {
        let mut params = Params::default();
        let pointer = &raw mut params;
        // SAFETY: io_uring_setup(2) reads and writes one `Params`.
        let setup = || check(unsafe { sys::syscall(425, ENTRIES, pointer) } as i32);
        let fd = recorded("io_uring_setup", -1, setup, |_| 0)?;
        // SAFETY: the descriptor is new and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        if params.features & SINGLE_MMAP == 0 {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        let sq_end = params.sq.seventh as usize + params.sq_entries as usize * 4;
        let cq_end = params.cq.sixth as usize + params.cq_entries as usize * size_of::<Completed>();
        let rings = Map::new(&fd, sq_end.max(cq_end), OFFSET_OF_RINGS)?;
        let length = params.sq_entries as usize * size_of::<Submission>();
        let entries = Map::new(&fd, length, OFFSET_OF_ENTRIES)?;
        let epoll = Epoll::new()?;
        epoll.add(&fd, IN, 0)?;
        let in_flight = RefCell::default();
        let not_submitted = Cell::new(0);
        Ok(Ring {
            fd,
            rings,
            entries,
            sq: params.sq,
            cq: params.cq,
            epoll,
            in_flight,
            not_submitted,
        })
    }

    /// Puts an entry into the submission queue. It is submitted by the next `wait`.
    fn push(&self, entry: Submission) {
        if self.not_submitted.get() == ENTRIES {
            self.submit();
        }
        let tail = self.rings.word(self.sq.tail).load(Ordering::Relaxed);
        let index = tail & self.rings.word(self.sq.mask).load(Ordering::Relaxed);
        // SAFETY: the index is below the number of entries, and the kernel reads the entry after the tail has
        // moved.
        unsafe { self.entries.0.cast::<Submission>().wrapping_add(index as usize).write(entry) };
        self.rings.word(self.sq.seventh + 4 * index).store(index, Ordering::Relaxed);
        self.rings.word(self.sq.tail).store(tail.wrapping_add(1), Ordering::Release);
        self.not_submitted.set(self.not_submitted.get() + 1);
    }

    fn submit(&self) {
        let count = self.not_submitted.replace(0);
        if count > 0 {
            let null = std::ptr::null_mut::<c_void>();
            // SAFETY: io_uring_enter(2) reads the entries. Their buffers are in `in_flight`.
            let entered =
                unsafe { sys::syscall(426, self.fd.as_raw_fd(), count, 0u32, 0u32, null, 0usize) };
            assert!(entered >= 0, "io_uring_enter: {}", io::Error::last_os_error());
        }
    }

    /// Starts a receive with a number that no other operation in flight has. The kernel owns the buffer until
    /// the completion with this number.
    ///
    /// # Panics
    ///
    /// If the number is in use.
    pub fn receive(&self, id: u64, stream: &Rc<Stream>, mut buffer: Vec<u8>) {
        note(format!("starts receive {id}"));
        let (address, length) = (buffer.as_mut_ptr() as u64, buffer.len() as u32);
        let mut entry = Submission::new(RECV, stream.as_raw_fd(), id);
        (entry.address, entry.length) = (address, length);
        let used = InFlight { buffer, _stream: Rc::clone(stream) };
        let before = self.in_flight.borrow_mut().insert(id, used);
        if let Some(before) = before {
            std::mem::forget(before);
            panic!("an operation with the number {id} is in flight");
        }
        self.push(entry);
    }

    /// Asks the kernel to end an operation early. It completes with an error, or with what it has received.
    pub fn cancel(&self, id: u64) {
        note(format!("cancels {id}"));
        let mut entry = Submission::new(CANCEL, -1, OF_CANCEL);
        entry.address = id;
        self.push(entry);
    }

    /// Returns the numbers of the operations in flight.
    #[must_use]
    pub fn in_flight(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.in_flight.borrow().keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Submits what was started, and waits for completions.
    ///
    /// # Errors
    ///
    /// The error of epoll_wait(2).
    pub fn wait(&self) -> io::Result<Vec<Completion>> {
        self.submit();
        let look = |ms: i32| {
            let mut events = [Event::default()];
            self.epoll.look(&mut events, ms)
        };
        script::wait(-1, look)?;
        let (head, tail) = (self.rings.word(self.cq.head), self.rings.word(self.cq.tail));
        let mask = self.rings.word(self.cq.mask).load(Ordering::Relaxed);
        let mut completions = Vec::new();
        let (mut at, end) = (head.load(Ordering::Relaxed), tail.load(Ordering::Acquire));
        while at != end {
            let offset = self.cq.sixth as usize + (at & mask) as usize * size_of::<Completed>();
            // SAFETY: the kernel has written this entry before it moved the tail.
            let completed = unsafe { self.rings.0.wrapping_add(offset).cast::<Completed>().read() };
            at = at.wrapping_add(1);
            head.store(at, Ordering::Release);
            let Some(used) = self.in_flight.borrow_mut().remove(&completed.user_data) else {
                continue;
            };
            let result = match completed.result {
                ..0 => Err(io::Error::from_raw_os_error(-completed.result)),
                n => Ok(n as usize),
            };
            note(match &result {
                Ok(n) => format!("receive {} completes: {n} bytes", completed.user_data),
                Err(error) => format!("receive {} completes: {error}", completed.user_data),
            });
            script::progress();
            completions.push(Completion { id: completed.user_data, buffer: used.buffer, result });
        }
        Ok(completions)
    }
}

impl Submission {
    fn new(opcode: u8, fd: i32, user_data: u64) -> Submission {
        Submission {
            opcode,
            flags: 0,
            priority: 0,
            fd,
            offset: 0,
            address: 0,
            length: 0,
            operation_flags: 0,
            user_data,
            rest: [0; 3],
        }
    }
}

impl Drop for Ring {
    /// Leaks the buffers in flight, because the kernel can still write into them.
    fn drop(&mut self) {
        let left = ManuallyDrop::new(self.in_flight.take());
        debug_assert!(left.len() < usize::MAX);
    }
}

// The layout of the kernel's structs.
const _: () = assert!(size_of::<Params>() == 120 && size_of::<Submission>() == 64);
const _: () = assert!(offset_of!(Params, sq) == 40 && offset_of!(Params, cq) == 80);
const _: () = assert!(offset_of!(Submission, user_data) == 32 && size_of::<Completed>() == 16);
