//! Whose reading of the RFCs is followed where readings differ.

use rserpool_proto::registrar::{self, Dialect};

/// Whose reading of the RFCs is followed where rsplib, the implementation in
/// the field, departs from them. `docs/compatibility.md` has every difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Compat {
    /// rsplib's, toward peers over SCTP; the RFCs' toward peers over TCP, which
    /// rsplib does not have
    #[default]
    Rsplib,
    /// The letter of the RFCs, toward all
    Rfc,
}

impl Compat {
    /// Sets what depends on it.
    pub(crate) const fn apply(self, config: &mut registrar::Config) {
        match self {
            Self::Rsplib => {
                config.sctp = Dialect::RSPLIB;
                config.tcp = Dialect { keep_alive_names_element: true, ..Dialect::RFC };
                config.items_default = 3;
            }
            Self::Rfc => {
                config.sctp = Dialect::RFC;
                config.tcp = Dialect::RFC;
                // "All pool elements", as far as an answer may have.
                config.items_default = config.items_max;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compat_says_how_many_elements_an_answer_has() {
        let items = |compat: Compat| {
            let mut config = registrar::Config { items_max: 77, ..Default::default() };
            compat.apply(&mut config);
            config.items_default
        };
        assert_eq!((items(Compat::Rsplib), items(Compat::Rfc)), (3, 77));
    }
}
