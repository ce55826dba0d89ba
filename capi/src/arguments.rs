//! What a program in C gives, as Rust has it.
#![expect(unsafe_code, reason = "arguments are pointers; docs/unsafe.md")]

use std::ffi::{CStr, c_char};

use crate::RserpoolStatus;

/// A C string that is UTF-8.
///
/// # Safety
/// It is null or a C string that lives as long as is said.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, RserpoolStatus> {
    if text.is_null() {
        return Err(RserpoolStatus::Invalid);
    }
    // SAFETY: it is not null, and a C string as the caller says.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| RserpoolStatus::Invalid)
}

/// A pool handle: any bytes, one at least.
///
/// # Safety
/// It is null, or so many bytes can be read there for as long as is said.
pub(crate) unsafe fn handle<'a>(
    handle: *const u8,
    length: usize,
) -> Result<&'a [u8], RserpoolStatus> {
    if handle.is_null() || length == 0 || length > usize::from(u16::MAX) {
        return Err(RserpoolStatus::Invalid);
    }
    // SAFETY: it is not null, and so many bytes can be read as the caller says.
    Ok(unsafe { std::slice::from_raw_parts(handle, length) })
}
