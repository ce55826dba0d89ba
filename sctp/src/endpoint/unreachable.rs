//! ICMP's "port unreachable" (RFC 6951 section 5.5): nobody has the peer's UDP
//! port any more.

use std::net::SocketAddr;
use std::time::Instant;

use super::path::PeerKey;
use super::{Endpoint, Phase};
use crate::link::DownReason;
use crate::wire::{be16, be32};

/// Bytes of a packet up to the end of its verification tag.
const QUOTED_MIN: usize = 8;

impl Endpoint {
    /// Takes ICMP's "port unreachable" of a packet that was sent to `remote`;
    /// `quoted` is what the message quotes of it after the UDP header. It
    /// counts only if ports, address and verification tag are those of an
    /// association that is up: else anybody could end it.
    ///
    /// If the peer has another address that works, that one is used and probed
    /// at once. Otherwise the association is gone, as if it had been aborted.
    pub fn port_unreachable(&mut self, now: Instant, remote: SocketAddr, quoted: &[u8]) {
        if quoted.len() < QUOTED_MIN {
            self.shared.output.stats.unreachables_ignored += 1;
            return;
        }
        let (local_port, peer_port) = (be16(quoted, 0), be16(quoted, 2));
        let key = PeerKey { ip: remote.ip(), peer_port, local_port };
        let id = self.peers.get(&key).copied();
        let association = id.and_then(|id| Some((id, self.table.get_mut(id)?)));
        if let Some((id, association)) = association
            && let Phase::Open(open) = &mut association.phase
            && open.peer_tag == be32(quoted, 4)
            && let Some(lost) = open.paths.unreachable(now, remote, &self.shared.config.tuning)
        {
            self.shared.output.stats.unreachables += 1;
            let down = lost.then_some(DownReason::System(libc::ECONNREFUSED));
            self.after(now, id, down);
        } else {
            self.shared.output.stats.unreachables_ignored += 1;
        }
    }
}
