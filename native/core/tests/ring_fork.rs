//! A ring across a real fork, while another thread of the parent holds the pool's lock all the time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millpool_core::Ring;

const SLOT_BYTES: usize = 2 << 20;
/// Ends a child that hangs.
const CHILD_LIMIT_S: u32 = 20;
const FORKS: usize = 50;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Runs `child` in a fork, and gives what waitpid says of it.
fn in_fork(child: impl FnOnce()) -> i32 {
    // SAFETY: the child uses no lock but the allocator's, which the C library makes usable, and leaves by _exit.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0);
        if pid == 0 {
            libc::alarm(CHILD_LIMIT_S);
            let failed = catch_unwind(AssertUnwindSafe(child)).is_err();
            libc::_exit(i32::from(failed));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        status
    }
}

/// The only test of this program, so that no other thread is forked in the middle of what it does.
#[test]
fn a_child_reads_what_it_inherited_and_makes_its_own() {
    let ring = Ring::new(8 * SLOT_BYTES);
    let stop = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let (ring, stop) = (ring.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                drop(ring.lease(1, soon()).unwrap());
            }
        }
    });
    for n in 0..FORKS {
        let inherited = ring.lease(SLOT_BYTES, soon()).unwrap();
        // SAFETY: leased, and of this length.
        let bytes = unsafe { std::slice::from_raw_parts_mut(inherited.as_ptr(), SLOT_BYTES) };
        bytes.fill(n as u8);
        let status = in_fork(|| {
            assert!(bytes.iter().all(|byte| *byte == n as u8));
            let own: Vec<_> = (0..8).map(|_| ring.lease(SLOT_BYTES, soon()).unwrap()).collect();
            assert!(own.iter().all(|slot| slot.as_ptr() != inherited.as_ptr()));
            // SAFETY: leased here.
            unsafe { own[0].as_ptr().write_bytes(0xFF, SLOT_BYTES) };
            drop(inherited);
            assert_eq!(ring.bytes(), 8 * SLOT_BYTES, "its own pool, without what it inherited");
            drop(ring.clone());
        });
        assert_eq!(status, 0, "fork {n}");
    }
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
}
