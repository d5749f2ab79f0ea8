// SPDX-License-Identifier: GPL-2.0

//! debugfs: the part of the interface of newer kernels that the DMA sanitizer uses.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use crate::{bindings, ffi::c_int, ffi::c_void, init::PinInit, str::CStrExt};
use core::{ffi::CStr, fmt, marker::PhantomData, ptr::from_ref};

/// A folder, which stays.
pub struct Dir(*mut bindings::dentry);

/// A file, which stays.
pub struct File(#[allow(dead_code)] *mut bindings::dentry);

/// What the file system calls for a file whose content a function `F` prints.
struct Callbacks<F>(PhantomData<F>);

impl<F: Fn(&(), &mut fmt::Formatter<'_>) -> fmt::Result + Sync + 'static> Callbacks<F> {
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        // SAFETY: Zeroes are no functions, and none of the others is needed.
        ..unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    };

    /// # Safety
    ///
    /// `inode` and `file` are valid, and the inode is that of a file made with these callbacks.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the function's requirement.
        let print = unsafe { (*inode).i_private };
        // SAFETY: As above.
        unsafe { bindings::single_open(file, Some(Self::show), print) }
    }

    /// # Safety
    ///
    /// `out` is a file that [`Self::open`] has opened.
    unsafe extern "C" fn show(out: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: By the function's requirement it has what `open()` has put there.
        let print: &'static F = unsafe { &*(*out).private.cast() };
        let text = Text(print);
        // SAFETY: `%pA` takes a pointer to format arguments, which are valid for the call.
        unsafe {
            bindings::seq_printf(
                out,
                c"%pA".as_char_ptr(),
                from_ref(&format_args!("{text}")).cast::<c_void>(),
            )
        };
        0
    }
}

/// Prints what a function prints.
struct Text<'a, F>(&'a F);

impl<F: Fn(&(), &mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Text<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(&(), f)
    }
}

impl Dir {
    /// Makes a folder at the top. Failure is not told, as with all of debugfs.
    pub fn new(name: &CStr) -> Dir {
        // SAFETY: The name is a string.
        Dir(unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) })
    }

    /// Makes a file, for its owner to read, that has what `print` prints.
    pub fn read_callback_file<F>(
        &self,
        name: &CStr,
        (): (),
        print: &'static F,
    ) -> impl PinInit<File>
    where
        F: Fn(&(), &mut fmt::Formatter<'_>) -> fmt::Result + Sync + 'static,
    {
        // SAFETY: The folder may be an error; the callbacks and `print` are static, and the former
        // take the latter.
        let file = unsafe {
            bindings::debugfs_create_file(
                name.as_char_ptr(),
                0o400,
                self.0,
                from_ref(print).cast_mut().cast(),
                &Callbacks::<F>::OPERATIONS,
            )
        };
        File(file)
    }
}
