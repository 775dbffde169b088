//! The limit of JavaScript's heap, set while it runs. Node.js takes one from its command line alone, before anybody has
//! read a budget. V8 has a door: whoever takes back a callback that is called near the limit may say which limit holds
//! from then on (`Isolate::RemoveNearHeapLimitCallback`), and V8 takes it where it is lower than what it had.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::mem::transmute;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use napi::Result;
use napi_derive::napi;

use crate::failure::whole;

type Isolate = *mut c_void;
type NearLimit = unsafe extern "C" fn(*mut c_void, usize, usize) -> usize;
type TryGetCurrent = unsafe extern "C" fn() -> Isolate;
type Add = unsafe extern "C" fn(Isolate, NearLimit, *mut c_void);
type Remove = unsafe extern "C" fn(Isolate, NearLimit, usize);

/// What V8 exports, by the names that C++ gives them on every platform of ours.
const TRY_GET_CURRENT: &CStr = c"_ZN2v87Isolate13TryGetCurrentEv";
const ADD: &CStr = c"_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_";
const REMOVE: &CStr = c"_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm";

static MOST_BYTES: AtomicUsize = AtomicUsize::new(0);
static WAS_NEAR: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Each thread that runs JavaScript has a heap of its own.
    static IS_SET: Cell<bool> = const { Cell::new(false) };
}

struct Door {
    try_get_current: TryGetCurrent,
    add: Add,
    remove: Remove,
}

impl Door {
    /// `None` with a Node.js that does not export it.
    fn find() -> Option<Door> {
        let symbol = |name: &CStr| {
            // SAFETY: looks a name up in what is loaded.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            (!found.is_null()).then_some(found)
        };
        let (current, add, remove) = (symbol(TRY_GET_CURRENT)?, symbol(ADD)?, symbol(REMOVE)?);
        // SAFETY: the mangled names say which arguments they take; what is not said, the result, has been the same in
        // every V8 that has them.
        Some(unsafe {
            Door {
                try_get_current: transmute::<*mut c_void, TryGetCurrent>(current),
                add: transmute::<*mut c_void, Add>(add),
                remove: transmute::<*mut c_void, Remove>(remove),
            }
        })
    }
}

/// Runs amid a garbage collection that freed too little. Whoever asks `heap_was_near` gives something up then. The
/// reserve is given at once: all that lies in the young generation may need it.
unsafe extern "C" fn near(_data: *mut c_void, current: usize, _initial: usize) -> usize {
    WAS_NEAR.store(true, Ordering::Relaxed);
    current.max(MOST_BYTES.load(Ordering::Relaxed))
}

/// From now on what lives long in this thread's heap takes no more than `bytes`, and `reserve_bytes` while those are
/// not enough; then V8 ends the process. Only ever lowers what Node.js was started with. False where this Node.js has
/// no way to do it. Again: takes back what of the reserve was given, as far as it is not in use.
#[napi(catch_unwind)]
pub fn limit_heap(bytes: f64, reserve_bytes: f64) -> Result<bool> {
    let limit = whole("bytes", bytes)? as usize;
    let most = limit.saturating_add(whole("reserveBytes", reserve_bytes)? as usize);
    let Some(door) = Door::find() else { return Ok(false) };
    MOST_BYTES.store(most, Ordering::Relaxed);
    // SAFETY: called by JavaScript, so this thread has an isolate, and the callback touches nothing of it. What is
    // removed was added before: V8 ends the process otherwise.
    unsafe {
        let isolate = (door.try_get_current)();
        if isolate.is_null() {
            return Ok(false);
        }
        if !IS_SET.replace(true) {
            (door.add)(isolate, near, std::ptr::null_mut());
        }
        (door.remove)(isolate, near, limit);
        (door.add)(isolate, near, std::ptr::null_mut());
    }
    WAS_NEAR.store(false, Ordering::Relaxed);
    Ok(true)
}

/// Whether the limit was met since it was set.
#[napi(catch_unwind)]
pub fn heap_was_near() -> bool {
    WAS_NEAR.load(Ordering::Relaxed)
}
