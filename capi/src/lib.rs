//! The basic mode of Reliable Server Pooling for programs in C: register,
//! deregister, resolve, report. Every call waits until it is done.
//!
//! `include/rserpool.h` has the same in C; it is made from this file.
#![expect(unsafe_code, reason = "the interface is one of pointers; docs/unsafe.md")]

mod arguments;
mod element;
mod status;

use std::ffi::{c_char, c_double, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use rserpool_client::blocking::{Endpoint, PoolElement};
use rserpool_client::{PeId, RegistrarUrl};

use crate::arguments::{handle, text};
pub use crate::element::{
    RserpoolAddress, RserpoolElement, RserpoolPolicy, RserpoolService, RserpoolTransport,
};
pub use crate::status::RserpoolStatus;

/// The access of a program to the registrars. It may be used by several threads
/// at once.
#[derive(Debug)]
pub struct RserpoolEndpoint {
    endpoint: Endpoint,
    registered: Mutex<Vec<PoolElement>>,
}

impl RserpoolEndpoint {
    fn registered<T>(&self, work: impl FnOnce(&mut Vec<PoolElement>) -> T) -> T {
        work(&mut self.registered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs a call so that nothing of Rust's unwinding reaches C.
fn call(work: impl FnOnce() -> Result<(), RserpoolStatus>) -> RserpoolStatus {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => RserpoolStatus::Ok,
        Ok(Err(status)) => status,
        Err(_) => RserpoolStatus::Internal,
    }
}

/// What a status means, in English. It stays valid.
#[unsafe(no_mangle)]
pub extern "C" fn rserpool_message(status: c_int) -> *const c_char {
    let known = RserpoolStatus::ALL.into_iter().find(|known| *known as c_int == status);
    known.map_or(c"this is no status", RserpoolStatus::message).as_ptr()
}

/// Finds one of these registrars, such as "tcp://192.0.2.8:3863,192.0.2.9", and
/// gives an endpoint, which is to be ended by `rserpool_disconnect`.
///
/// # Safety
/// `registrars` is a C string; `endpoint` points to where the result goes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_connect(
    registrars: *const c_char,
    endpoint: *mut *mut RserpoolEndpoint,
) -> RserpoolStatus {
    call(|| {
        if endpoint.is_null() {
            return Err(RserpoolStatus::Invalid);
        }
        // SAFETY: the caller says that it is a C string; null is refused inside.
        let list = unsafe { text(registrars) }?;
        let registrars: Result<Vec<RegistrarUrl>, _> =
            list.split(',').map(|one| one.trim().parse()).collect();
        let registrars = registrars.map_err(|_| RserpoolStatus::Invalid)?;
        let connected = RserpoolEndpoint {
            endpoint: Endpoint::connect(registrars)?,
            registered: Mutex::new(Vec::new()),
        };
        // SAFETY: it is not null, and the caller says that it can be written to.
        unsafe { endpoint.write(Box::into_raw(Box::new(connected))) };
        Ok(())
    })
}

/// Deregisters everything, and ends the endpoint. Null is ignored.
///
/// # Safety
/// `endpoint` is null, or came from `rserpool_connect` and is in no other call,
/// now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_disconnect(endpoint: *mut RserpoolEndpoint) {
    if endpoint.is_null() {
        return;
    }
    // SAFETY: it came from `Box::into_raw` in `rserpool_connect`, and the caller
    // says that it is not used again.
    let endpoint = unsafe { Box::from_raw(endpoint) };
    call(|| {
        endpoint.endpoint.shutdown();
        drop(endpoint);
        Ok(())
    });
}

/// Registers a service as a pool element, waits until a registrar has confirmed
/// it, and gives its PE identifier where `pe` is not null. It stays registered,
/// with this registrar or another one, until it is deregistered.
///
/// # Safety
/// `endpoint` came from `rserpool_connect`; `service` and what it points to can
/// be read; `pe` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_register(
    endpoint: *const RserpoolEndpoint,
    service: *const RserpoolService,
    pe: *mut u32,
) -> RserpoolStatus {
    call(|| {
        // SAFETY: the caller says that both can be read; null is refused.
        let endpoint = unsafe { endpoint.as_ref() }.ok_or(RserpoolStatus::Invalid)?;
        // SAFETY: as above.
        let service = unsafe { service.as_ref() }.ok_or(RserpoolStatus::Invalid)?;
        // SAFETY: the caller says that what it points to can be read.
        let service = unsafe { service.read() }?;
        let element = endpoint.endpoint.register(service)?;
        let identifier = element.pe().get();
        endpoint.registered(|registered| registered.push(element));
        if !pe.is_null() {
            // SAFETY: the caller says that it can be written to.
            unsafe { pe.write(identifier) };
        }
        Ok(())
    })
}

/// Tells the load of an element of this endpoint, from 0 to 1, for a policy that
/// has one.
///
/// # Safety
/// `endpoint` came from `rserpool_connect`; `handle_length` bytes of `handle` can
/// be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_report_load(
    endpoint: *const RserpoolEndpoint,
    handle: *const u8,
    handle_length: usize,
    pe: u32,
    load: c_double,
) -> RserpoolStatus {
    call(|| {
        // SAFETY: the caller says that it can be read; null is refused.
        let endpoint = unsafe { endpoint.as_ref() }.ok_or(RserpoolStatus::Invalid)?;
        // SAFETY: the caller says that so many bytes can be read.
        let handle = unsafe { self::handle(handle, handle_length) }?;
        if !(0.0..=1.0).contains(&load) {
            return Err(RserpoolStatus::Invalid);
        }
        endpoint.registered(|registered| {
            let found = registered.iter().find(|one| is(one, handle, pe));
            found.map(|element| element.report_load(load)).ok_or(RserpoolStatus::NotRegistered)
        })
    })
}

/// Deregisters an element of this endpoint.
///
/// # Safety
/// As `rserpool_report_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_deregister(
    endpoint: *const RserpoolEndpoint,
    handle: *const u8,
    handle_length: usize,
    pe: u32,
) -> RserpoolStatus {
    call(|| {
        // SAFETY: the caller says that it can be read; null is refused.
        let endpoint = unsafe { endpoint.as_ref() }.ok_or(RserpoolStatus::Invalid)?;
        // SAFETY: the caller says that so many bytes can be read.
        let handle = unsafe { self::handle(handle, handle_length) }?;
        let element = endpoint.registered(|registered| {
            let at = registered.iter().position(|one| is(one, handle, pe));
            at.map(|at| registered.swap_remove(at)).ok_or(RserpoolStatus::NotRegistered)
        })?;
        Ok(element.deregister()?)
    })
}

fn is(element: &PoolElement, handle: &[u8], pe: u32) -> bool {
    element.pe().get() == pe && element.service().handle == handle
}

/// Has a registrar resolve a pool handle to at most `items` elements; 0 leaves
/// the number to it. The one to be used first is at the front. What is given is
/// to be freed by `rserpool_free_elements`.
///
/// # Safety
/// As `rserpool_report_load`; `elements` and `count` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_resolve(
    endpoint: *const RserpoolEndpoint,
    handle: *const u8,
    handle_length: usize,
    items: u32,
    elements: *mut *mut RserpoolElement,
    count: *mut usize,
) -> RserpoolStatus {
    call(|| {
        // SAFETY: the caller says that it can be read; null is refused.
        let endpoint = unsafe { endpoint.as_ref() }.ok_or(RserpoolStatus::Invalid)?;
        // SAFETY: the caller says that so many bytes can be read.
        let handle = unsafe { self::handle(handle, handle_length) }?;
        if elements.is_null() || count.is_null() {
            return Err(RserpoolStatus::Invalid);
        }
        let resolution = endpoint.endpoint.resolve(handle, items)?;
        let found: Vec<RserpoolElement> =
            resolution.elements.iter().map(RserpoolElement::new).collect();
        let found = Box::leak(found.into_boxed_slice());
        // SAFETY: it is not null, and the caller says that it can be written to.
        unsafe { count.write(found.len()) };
        // SAFETY: as above.
        unsafe { elements.write(found.as_mut_ptr()) };
        Ok(())
    })
}

/// Frees what `rserpool_resolve` gave. Null is ignored.
///
/// # Safety
/// Both are as `rserpool_resolve` gave them, and are not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_free_elements(elements: *mut RserpoolElement, count: usize) {
    if elements.is_null() {
        return;
    }
    let slice = std::ptr::slice_from_raw_parts_mut(elements, count);
    // SAFETY: it is the boxed slice that `rserpool_resolve` leaked, as the caller
    // says.
    let elements = unsafe { Box::from_raw(slice) };
    for element in elements {
        // SAFETY: it comes from `RserpoolElement::new`, and is freed once.
        unsafe { element.free() };
    }
}

/// Reports an element that could not be reached. The registrar looks after it;
/// nothing answers a report.
///
/// # Safety
/// As `rserpool_report_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rserpool_report_unreachable(
    endpoint: *const RserpoolEndpoint,
    handle: *const u8,
    handle_length: usize,
    pe: u32,
) -> RserpoolStatus {
    call(|| {
        // SAFETY: the caller says that it can be read; null is refused.
        let endpoint = unsafe { endpoint.as_ref() }.ok_or(RserpoolStatus::Invalid)?;
        // SAFETY: the caller says that so many bytes can be read.
        let handle = unsafe { self::handle(handle, handle_length) }?;
        if pe == 0 {
            return Err(RserpoolStatus::Invalid);
        }
        endpoint.endpoint.report_unreachable(handle, PeId::new(pe));
        Ok(())
    })
}
