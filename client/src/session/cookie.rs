//! Cookies that clients cannot change.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Error;

/// What a cookie made by a key begins with: the version, the length of the
/// padding, two bytes of nothing, and the end of its life in seconds since
/// 1970.
const HEADER_BYTES: usize = 12;
const VERSION: u8 = 1;
const MAC_BYTES: usize = 32;

/// Why a cookie is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieError {
    /// It was made with another key, or changed.
    Forged,
    /// Its life is over.
    Expired,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forged => "the cookie was not made with this key",
            Self::Expired => "the cookie is too old",
        })
    }
}

impl std::error::Error for CookieError {}

/// The key that all servers of a pool share, to know that a cookie was made by
/// one of them, and not too long ago (RFC 5352, 3.8). The state in it is not
/// hidden from the client.
#[derive(Clone)]
pub struct CookieKey([u8; 32]);

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKey(..)")
    }
}

impl CookieKey {
    /// A key of 32 secret random bytes.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A new key, for a pool whose servers are all in this process, or to be
    /// handed to the others.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> Result<Self, Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Self(key))
    }

    /// A cookie with this state that is good for so long. It is 44 to 47 bytes
    /// longer than the state, and a multiple of 4.
    #[must_use]
    pub fn seal(&self, state: &[u8], life: Duration) -> Vec<u8> {
        self.seal_until(state, unix_now().saturating_add(life.as_secs()))
    }

    fn seal_until(&self, state: &[u8], end: u64) -> Vec<u8> {
        let padding: u8 = match state.len() % 4 {
            1 => 3,
            2 => 2,
            3 => 1,
            _ => 0,
        };
        let mut cookie = vec![VERSION, padding, 0, 0];
        cookie.extend_from_slice(&end.to_be_bytes());
        cookie.extend_from_slice(state);
        cookie.resize(cookie.len() + usize::from(padding), 0);
        let mac = blake3::keyed_hash(&self.0, &cookie);
        cookie.extend_from_slice(mac.as_bytes());
        cookie
    }

    /// The state of a cookie that a client sent back.
    ///
    /// # Errors
    /// It is not to be believed.
    pub fn open<'a>(&self, cookie: &'a [u8]) -> Result<&'a [u8], CookieError> {
        self.open_at(cookie, unix_now())
    }

    fn open_at<'a>(&self, cookie: &'a [u8], now: u64) -> Result<&'a [u8], CookieError> {
        let (signed, mac) = cookie.split_last_chunk::<MAC_BYTES>().ok_or(CookieError::Forged)?;
        // This comparison takes as long wherever the first difference is.
        if blake3::keyed_hash(&self.0, signed) != blake3::Hash::from_bytes(*mac) {
            return Err(CookieError::Forged);
        }
        let (header, state) =
            signed.split_first_chunk::<HEADER_BYTES>().ok_or(CookieError::Forged)?;
        let [version, padding, _, _, end @ ..] = *header;
        let length = state.len().checked_sub(usize::from(padding)).ok_or(CookieError::Forged)?;
        if version != VERSION {
            return Err(CookieError::Forged);
        }
        if u64::from_be_bytes(end) < now {
            return Err(CookieError::Expired);
        }
        state.get(..length).ok_or(CookieError::Forged)
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_gives_back_its_state_until_it_is_too_old() {
        let key = CookieKey::new([7; 32]);
        for state in [b"".as_slice(), b"1", b"12", b"123", b"1234", &[9; 1000]] {
            let cookie = key.seal_until(state, 100);
            assert_eq!(cookie.len() % 4, 0);
            assert_eq!(key.open_at(&cookie, 100), Ok(state));
            assert_eq!(key.open_at(&cookie, 101), Err(CookieError::Expired));
        }
        let fresh = key.seal(b"state", Duration::from_secs(60));
        assert_eq!(key.open(&fresh), Ok(b"state".as_slice()));
    }

    #[test]
    fn a_cookie_with_any_bit_changed_is_not_believed() {
        let key = CookieKey::new([7; 32]);
        let cookie = key.seal_until(b"state", 100);
        for bit in 0..cookie.len() * 8 {
            let mut changed = cookie.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open_at(&changed, 0), Err(CookieError::Forged), "bit {bit}");
        }
        for end in 0..cookie.len() {
            assert_eq!(key.open_at(&cookie[..end], 0), Err(CookieError::Forged));
        }
        assert_eq!(CookieKey::new([8; 32]).open_at(&cookie, 0), Err(CookieError::Forged));
    }
}
