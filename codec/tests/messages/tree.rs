//! Messages as trees of parameters, to put parameters where they do not belong.

use std::slice;

/// A message or parameter: what comes before its parameters, and those.
#[derive(Clone)]
pub(crate) struct Tree {
    /// Type and, for a message, flags.
    head: [u8; 2],
    fields: Vec<u8>,
    inside: Vec<Self>,
    holds_parameters: bool,
}

impl Tree {
    /// Takes a message apart.
    pub(crate) fn message(is_asap: bool, bytes: &[u8]) -> Self {
        let fields = match (is_asap, bytes[0]) {
            (true, 0x07 | 0x0a) => 4,
            (true, _) => 0,
            (false, 0x04 | 0x07..=0x09) => 12,
            (false, _) => 8,
        };
        Self::apart(bytes, Some(fields))
    }

    pub(crate) fn parameter(kind: u16, value: &[u8]) -> Self {
        Self {
            head: kind.to_be_bytes(),
            fields: value.to_vec(),
            inside: Vec::new(),
            holds_parameters: false,
        }
    }

    fn apart(bytes: &[u8], fields: Option<usize>) -> Self {
        let head = [bytes[0], bytes[1]];
        let value = &bytes[4..usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))];
        let mut rest = &value[fields.unwrap_or(value.len())..];
        let mut inside = Vec::new();
        while rest.len() >= 4 {
            let fields = match u16::from_be_bytes([rest[0], rest[1]]) {
                0x000a => Some(12),
                0x0004..=0x0007 | 0x000b => Some(4),
                0x0003 => Some(8),
                _ => None,
            };
            inside.push(Self::apart(rest, fields));
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        let fields_end = fields.unwrap_or(value.len());
        let fields_bytes = value[..fields_end].to_vec();
        Self { head, fields: fields_bytes, inside, holds_parameters: fields.is_some() }
    }

    /// Puts it together, with the lengths as the RFC has them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.head[0], self.head[1], 0, 0];
        bytes.extend(&self.fields);
        let mut end = bytes.len();
        for tree in &self.inside {
            let inner = tree.bytes();
            end = bytes.len() + usize::from(u16::from_be_bytes([inner[2], inner[3]]));
            bytes.extend(inner);
        }
        bytes[2..4].copy_from_slice(&u16::try_from(end).unwrap().to_be_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// The tree with the parameter right behind the fields.
    pub(crate) fn with_first(&self, parameter: &Self) -> Self {
        let inside = [slice::from_ref(parameter), &self.inside].concat();
        Self { inside, ..self.clone() }
    }

    /// The tree with the parameter at the end.
    pub(crate) fn with_last(&self, parameter: &Self) -> Self {
        let inside = [&self.inside, slice::from_ref(parameter)].concat();
        Self { inside, ..self.clone() }
    }

    /// The trees with the parameter put in, at each place where one can be.
    pub(crate) fn insertions(&self, parameter: &Self) -> Vec<Self> {
        let mut all = Vec::new();
        if self.holds_parameters {
            for position in 0..=self.inside.len() {
                let mut tree = self.clone();
                tree.inside.insert(position, parameter.clone());
                all.push(tree);
            }
        }
        for (position, inner) in self.inside.iter().enumerate() {
            for changed in inner.insertions(parameter) {
                let mut tree = self.clone();
                tree.inside[position] = changed;
                all.push(tree);
            }
        }
        all
    }
}
