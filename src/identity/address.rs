//! From where somebody comes.

use std::net::IpAddr;

use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

use crate::catalog::values;

/// A client's address, and who says so.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ClientAddress {
    /// The address; unknown where the connection has none (a Unix socket).
    pub address: Option<IpAddr>,
    /// An application that is believed said so. Otherwise it is the connection's, which behind a pool is the pool's.
    pub is_stated: bool,
}

impl ClientAddress {
    /// The stated address if the database role is one that is believed, otherwise that of the connection.
    pub fn of_client(stated: Option<pgrx::Inet>) -> Self {
        let stated = stated.filter(|_| is_believed()).and_then(|stated| parse(&stated.0));
        match stated {
            Some(address) => ClientAddress { address: Some(address), is_stated: true },
            None => ClientAddress { address: of_connection(), is_stated: false },
        }
    }
}

/// Reads the text form of an `inet`; what it says about a network is left out.
pub fn parse(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// Whoever may execute this function is believed; it is granted to nobody.
fn is_believed() -> bool {
    let function = values::own_function(c"states_client_address", &mut []);
    let execute = pg_sys::ACL_EXECUTE as pg_sys::AclMode;
    // SAFETY: look-ups of a function and a privilege.
    unsafe {
        function != pg_sys::InvalidOid
            && pg_sys::pg_proc_aclcheck(function, pg_sys::GetUserId(), execute)
                == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// The other end of this connection.
pub fn of_connection() -> Option<IpAddr> {
    // SAFETY: inet_client_addr() takes no arguments, and gives NULL where there is no address.
    let text = unsafe {
        let mut call = pg_sys::FunctionCallInfoBaseData::default();
        let datum = pg_sys::inet_client_addr(&mut call);
        (!call.isnull).then(|| pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(pg_sys::F_INET_OUT), datum))
    }?;
    // SAFETY: a NUL-terminated string.
    parse(&unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy())
}
