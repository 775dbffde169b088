//! Memory that a GPU copies from by itself: CUDA calls it page-locked, and has it registered first.

use std::ffi::{c_int, c_uint, c_void};

/// Every device of the process takes it to be page-locked.
const PORTABLE: c_uint = 1;

/// The device for which memory is registered, and the functions of the CUDA runtime that the process has loaded. They
/// work on the calling thread's device: on a thread that chose none they would make the first one ready for use.
#[derive(Clone, Copy, Debug)]
pub struct PageLock {
    pub device: c_int,
    /// `cudaGetDevice`
    pub get_device: unsafe extern "C" fn(*mut c_int) -> c_int,
    /// `cudaSetDevice`
    pub set_device: unsafe extern "C" fn(c_int) -> c_int,
    /// `cudaHostRegister`
    pub register: unsafe extern "C" fn(*mut c_void, usize, c_uint) -> c_int,
    /// `cudaHostUnregister`
    pub unregister: unsafe extern "C" fn(*mut c_void) -> c_int,
    /// `cudaGetLastError`: forgets the thread's last error, which is ours and not the next caller's.
    pub take_error: unsafe extern "C" fn() -> c_int,
}

impl PageLock {
    /// Whether all of it is page-locked now.
    pub(crate) fn lock(&self, memory: *mut u8, len: usize) -> bool {
        // SAFETY: the whole of a mapping of this process, which `unlock` is told of before it goes.
        self.on_device(|| unsafe { (self.register)(memory.cast(), len, PORTABLE) })
    }

    /// Of what `lock` locked.
    pub(crate) fn unlock(&self, memory: *mut u8) {
        // SAFETY: it was registered, and is mapped yet. At the end of the process the runtime may be gone, and says so.
        self.on_device(|| unsafe { (self.unregister)(memory.cast()) });
    }

    fn on_device(&self, call: impl FnOnce() -> c_int) -> bool {
        let mut before = self.device;
        // SAFETY: functions of the runtime; a place for the number that it writes.
        unsafe {
            let is_known = (self.get_device)(&mut before) == 0;
            let done = (self.set_device)(self.device) == 0 && call() == 0;
            if is_known && before != self.device {
                (self.set_device)(before);
            }
            if !done {
                (self.take_error)();
            }
            done
        }
    }
}
