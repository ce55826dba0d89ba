//! SIGINT and SIGTERM, taken by one thread that waits for them.
#![expect(unsafe_code, reason = "listed in docs/unsafe.md")]

use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

/// The signals that end a registrar.
const SIGNALS: [libc::c_int; 2] = [libc::SIGINT, libc::SIGTERM];

/// A signal that comes so soon after the first one is the same wish to stop:
/// timeout(1) sends its signal to the process and again to its group.
const SAME: Duration = Duration::from_millis(100);

/// Exit status of a process that a signal ended, as shells report it.
const fn status(signal: libc::c_int) -> i32 {
    128 + signal
}

/// Keeps the signals from ending the process, and tells of the first one. The
/// second one ends the process at once. Call it before any thread is started:
/// threads inherit which signals they leave alone.
pub(crate) fn first() -> io::Result<mpsc::Receiver<libc::c_int>> {
    let set = blocked()?;
    let (first, told) = mpsc::channel();
    thread::Builder::new().name("rserpool-signals".to_owned()).spawn(move || {
        if let Ok(signal) = wait(&set) {
            // Nobody listens: the process is at its end already.
            let _unheard = first.send(signal);
        }
        let told = Instant::now();
        while let Ok(signal) = wait(&set) {
            if told.elapsed() > SAME {
                std::process::exit(status(signal));
            }
        }
    })?;
    Ok(told)
}

/// The set of the signals, which this thread and those it starts leave alone
/// from here on.
fn blocked() -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initializes the set it is given; any bytes will do.
    let empty = unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    check(empty)?;
    // SAFETY: `sigemptyset` succeeded, so it is initialized.
    let mut set = unsafe { set.assume_init() };
    for signal in SIGNALS {
        // SAFETY: the set is initialized, and these are signal numbers.
        let added = unsafe { libc::sigaddset(&raw mut set, signal) };
        check(added)?;
    }
    // SAFETY: the set is initialized; the previous mask is not asked for.
    let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    if failed == 0 { Ok(set) } else { Err(io::Error::from_raw_os_error(failed)) }
}

/// Waits for one of the signals.
fn wait(set: &libc::sigset_t) -> io::Result<libc::c_int> {
    let mut signal = 0;
    // SAFETY: the set is initialized, and `signal` is where the number goes.
    let failed = unsafe { libc::sigwait(set, &raw mut signal) };
    if failed == 0 { Ok(signal) } else { Err(io::Error::from_raw_os_error(failed)) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
