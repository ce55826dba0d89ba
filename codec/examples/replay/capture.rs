//! The packets in a capture file, pcap or pcapng.

/// How a packet starts: the number of a link type.
pub(crate) type Link = u32;

/// All packets of a file; `None` if it is no capture.
pub(crate) fn packets(file: &[u8]) -> Option<Vec<(Link, &[u8])>> {
    let number = |at: usize, little| word(file, at, little);
    match number(0, true)? {
        0xa1b2_c3d4 | 0xa1b2_3c4d => pcap(file, true),
        0xd4c3_b2a1 | 0x4d3c_b2a1 => pcap(file, false),
        0x0a0d_0d0a => match number(8, true)? {
            0x1a2b_3c4d => pcapng(file, true),
            0x4d3c_2b1a => pcapng(file, false),
            _ => None,
        },
        _ => None,
    }
}

fn pcap(file: &[u8], little: bool) -> Option<Vec<(Link, &[u8])>> {
    let link = word(file, 20, little)?;
    let mut packets = Vec::new();
    let mut at = 24;
    while let Some(length) = word(file, at + 8, little) {
        let start = at + 16;
        at = start + usize::try_from(length).ok()?;
        packets.push((link, file.get(start..at)?));
    }
    Some(packets)
}

fn pcapng(file: &[u8], little: bool) -> Option<Vec<(Link, &[u8])>> {
    let mut links = Vec::new();
    let mut packets = Vec::new();
    let mut at = 0;
    while let Some(kind) = word(file, at, little) {
        let end = at + usize::try_from(word(file, at + 4, little)?).ok()?;
        let block = file.get(at..end).filter(|block| block.len() >= 12)?;
        match kind {
            // Interface description.
            1 => links.push(word(block, 8, little)? & 0xffff),
            // Enhanced packet.
            6 => {
                let interface = usize::try_from(word(block, 8, little)?).ok()?;
                let length = usize::try_from(word(block, 20, little)?).ok()?;
                packets.push((*links.get(interface)?, block.get(28..28 + length)?));
            }
            _ => {}
        }
        at = end;
    }
    Some(packets)
}

fn word(bytes: &[u8], at: usize, little: bool) -> Option<u32> {
    let word = *bytes.get(at..)?.first_chunk()?;
    Some(if little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
}
