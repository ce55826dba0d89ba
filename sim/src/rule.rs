//! Rules of the protocol that can be broken on purpose, to see that the
//! checkers notice. What the machines of the product are told, or say, is
//! altered on its way; they themselves are as they are.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Registration lives never end.
    ForgottenExpiry,
    /// Silent elements are not asked whether they are alive.
    ForgottenKeepAlive,
    /// The end of an association is not noticed.
    KeptAssociation,
    /// Some registrations are acknowledged and not made.
    LostRegistration,
    /// Some re-registrations with new values are acknowledged and not made.
    LostUpdate,
    /// A handle resolution selects twice.
    DoubleSelection,
    /// Answers leave in another order than the requests came.
    SwappedAnswers,
    /// Some answers leave twice.
    RepeatedAnswer,
    /// Some answers do not leave.
    DroppedAnswer,
    /// A batch between two shards is lost now and then.
    LostBatch,
    /// Anybody may deregister an element.
    ProxyDeregistration,
    /// A peer's delete counts, whoever the element's home is.
    UnownedDelete,
    /// Some handle updates do not arrive, and presences do not tell of values:
    /// otherwise audits mend it.
    LostHandleUpdate,
    /// The PE checksum leaves out elements that were taken over.
    StaleChecksum,
    /// A dead registrar is not taken over: it seems to be there.
    ForgottenTakeover,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ForgottenExpiry,
        Self::ForgottenKeepAlive,
        Self::KeptAssociation,
        Self::LostRegistration,
        Self::LostUpdate,
        Self::DoubleSelection,
        Self::SwappedAnswers,
        Self::RepeatedAnswer,
        Self::DroppedAnswer,
        Self::LostBatch,
        Self::ProxyDeregistration,
        Self::UnownedDelete,
        Self::LostHandleUpdate,
        Self::StaleChecksum,
        Self::ForgottenTakeover,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForgottenExpiry => "forgotten-expiry",
            Self::ForgottenKeepAlive => "forgotten-keep-alive",
            Self::KeptAssociation => "kept-association",
            Self::LostRegistration => "lost-registration",
            Self::LostUpdate => "lost-update",
            Self::DoubleSelection => "double-selection",
            Self::SwappedAnswers => "swapped-answers",
            Self::RepeatedAnswer => "repeated-answer",
            Self::DroppedAnswer => "dropped-answer",
            Self::LostBatch => "lost-batch",
            Self::ProxyDeregistration => "proxy-deregistration",
            Self::UnownedDelete => "unowned-delete",
            Self::LostHandleUpdate => "lost-handle-update",
            Self::StaleChecksum => "stale-checksum",
            Self::ForgottenTakeover => "forgotten-takeover",
        }
    }

    /// The rule with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}
