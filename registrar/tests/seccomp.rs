//! A host that refuses io_uring, as the default seccomp profiles of
//! containers do.
#![expect(unsafe_code, reason = "listed in docs/unsafe.md")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};
use std::thread;

/// `BPF_LD | BPF_W | BPF_ABS`
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JEQ | BPF_K`
const JUMP_IF_EQUAL: u16 = 0x15;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;

/// Runs the program under a filter that refuses `io_uring_setup`.
fn run_confined(error: i32, arguments: &'static [&'static str]) -> Output {
    let confined = thread::spawn(move || {
        refuse_io_uring(error);
        let program = env!("CARGO_BIN_EXE_rserpool-registrar");
        Command::new(program).args(["--asap", "tcp://127.0.0.1:0"]).args(arguments).output()
    });
    confined.join().unwrap().unwrap()
}

/// Makes `io_uring_setup` fail in this thread and the processes it starts.
fn refuse_io_uring(error: i32) {
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let refused = u32::try_from(libc::SYS_io_uring_setup).unwrap();
    let error = libc::SECCOMP_RET_ERRNO | u32::try_from(error).unwrap();
    let mut filter = [
        step(LOAD, 0),
        libc::sock_filter { jf: 1, ..step(JUMP_IF_EQUAL, refused) },
        step(RETURN, error),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true).unwrap();
    // SAFETY: the program and the four instructions it points to live until
    // the call returns; the kernel copies them.
    let set =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn where_io_uring_is_refused_epoll_serves() {
    for error in [libc::EPERM, libc::ENOSYS] {
        let output = run_confined(error, &["--check"]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let host = stdout.lines().find(|line| line.starts_with("  host")).unwrap();
        assert!(host.contains("epoll (io_uring_setup: "), "{host}");
    }
}

#[test]
fn an_io_uring_that_was_asked_for_and_is_refused_is_explained() {
    for error in [libc::EPERM, libc::ENOSYS] {
        let asked =
            [(["--host", "io_uring"].as_slice(), 1), (&["--host", "io_uring", "--check"], 2)];
        for (arguments, status) in asked {
            let output = run_confined(error, arguments);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{stderr}");
            for part in ["io_uring_setup", "kernel.io_uring_disabled", "seccomp", "systemd"] {
                assert!(stderr.contains(part), "{part:?} is not in {stderr}");
            }
            assert!(!stderr.contains("panicked"), "{stderr}");
        }
    }
}
