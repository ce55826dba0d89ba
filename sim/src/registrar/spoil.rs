//! Rules broken on purpose between the network and a shard.

use std::collections::VecDeque;

use rserpool_codec::asap::{Message, peek_element};
use rserpool_codec::enrp::extension::Extensions;
use rserpool_codec::enrp::{self, Body, UpdateAction};
use rserpool_codec::{Element, LengthForm};
use rserpool_engine::PeChecksum;

use super::Registrar;
use crate::chance::Chance;
use crate::cluster::Cx;
use crate::messages::Messages;
use crate::network::LinkId;
use crate::rule::Rule;

const REGISTRATION: u8 = 1;
const DEREGISTRATION: u8 = 2;
const RESOLUTION: u8 = 5;

/// What is wrong with the answers of one association.
#[derive(Debug, Default)]
pub(super) struct Spoiler {
    asked: u64,
    answered: u64,
    /// Answers to leave out, by their number.
    surplus: VecDeque<u64>,
}

impl Spoiler {
    /// Alters what leaves.
    pub(super) fn spoil(
        &mut self,
        broken: Option<Rule>,
        chance: &mut Chance,
        bytes: &[u8],
    ) -> Vec<u8> {
        let mut messages: Vec<&[u8]> = Vec::new();
        for message in Messages(bytes) {
            let answers = matches!(message.first(), Some(3 | 4 | 6));
            self.answered += u64::from(answers);
            if answers && self.surplus.front() == Some(&self.answered) {
                self.surplus.pop_front();
                continue;
            }
            let drops = broken == Some(Rule::DroppedAnswer) && answers && chance.one_in(30);
            if !drops {
                messages.push(message);
            }
            if broken == Some(Rule::RepeatedAnswer) && answers && chance.one_in(30) {
                messages.push(message);
            }
        }
        if broken == Some(Rule::SwappedAnswers) && messages.len() > 1 && chance.one_in(4) {
            messages.swap(0, 1);
        }
        messages.concat()
    }
}

impl Registrar {
    /// Gives a message to its shard as the broken rule has it.
    pub(super) fn feed_spoiled(&mut self, cx: &mut Cx, link: LinkId, message: &[u8]) {
        let local = cx.local(self.node);
        let code = message.first().copied().unwrap_or(0);
        let Some(client) = self.clients.get_mut(&link) else { return };
        let answered = matches!(code, REGISTRATION | DEREGISTRATION | RESOLUTION);
        client.spoiler.asked += u64::from(answered);
        let mut association = client.association;
        let mut altered = Vec::new();
        match (cx.broken, code) {
            (Some(Rule::ForgottenExpiry), REGISTRATION) => {
                if let Ok(Message::Registration { handle, element }) = Message::parse(message) {
                    let element = Element { life: -1, ..element };
                    let endless = Message::Registration { handle, element };
                    let _ = endless.emit(&mut altered, LengthForm::Rfc);
                }
            }
            (Some(Rule::LostRegistration), REGISTRATION) if self.is_to_lose(cx, message) => {
                return self.feed_and_undo(cx, link, message);
            }
            (Some(Rule::LostUpdate), REGISTRATION) => {
                altered = self.with_old_values(cx, message).unwrap_or_default();
            }
            (Some(Rule::ProxyDeregistration), DEREGISTRATION) => {
                if let Some((handle, pe)) = peek_element(message) {
                    let owner = self.spaces().find_map(|space| {
                        let element = space.get(space.find(handle, pe)?)?;
                        element.association()
                    });
                    association = owner.unwrap_or(association);
                }
            }
            (Some(Rule::DoubleSelection), RESOLUTION) => {
                let Some(client) = self.clients.get_mut(&link) else { return };
                client.spoiler.asked += 1;
                let surplus = client.spoiler.asked;
                client.spoiler.surplus.push_back(surplus);
                if let Some(shard) = self.shards.get_mut(client.shard) {
                    shard.receive(local, association, message);
                }
            }
            _ => {}
        }
        let message = if altered.is_empty() { message } else { &altered };
        let at = self.links.get(&association).and_then(|link| self.clients.get(link));
        let Some(at) = at.map(|client| client.shard) else { return };
        if let Some(shard) = self.shards.get_mut(at) {
            shard.receive(local, association, message);
        }
    }

    /// Whether this is the registration of a new element, and one to lose.
    fn is_to_lose(&self, cx: &mut Cx, message: &[u8]) -> bool {
        let Some((handle, pe)) = peek_element(message) else { return false };
        self.spaces().all(|space| space.find(handle, pe).is_none()) && cx.chance.one_in(4)
    }

    /// A registration that is acknowledged, and undone.
    fn feed_and_undo(&mut self, cx: &Cx, link: LinkId, message: &[u8]) {
        let local = cx.local(self.node);
        let Some(client) = self.clients.get_mut(&link) else { return };
        let Some((handle, pe)) = peek_element(message) else { return };
        let mut undoes = Vec::new();
        let _ = Message::Deregistration { handle, pe }.emit(&mut undoes, LengthForm::Rfc);
        client.spoiler.asked += 1;
        client.spoiler.surplus.push_back(client.spoiler.asked);
        if let Some(shard) = self.shards.get_mut(client.shard) {
            shard.receive(local, client.association, message);
            shard.receive(local, client.association, &undoes);
        }
    }

    /// A re-registration with the values that are registered.
    fn with_old_values(&self, cx: &mut Cx, message: &[u8]) -> Option<Vec<u8>> {
        let Ok(Message::Registration { handle, element }) = Message::parse(message) else {
            return None;
        };
        let mut spaces = self.spaces();
        let there = spaces.find_map(|space| space.get(space.find(handle, element.pe)?))?;
        if !cx.chance.one_in(4) {
            return None;
        }
        let mut altered = Vec::new();
        let element = Element { policy: there.policy(), ..element };
        let _ = Message::Registration { handle, element }.emit(&mut altered, LengthForm::Rfc);
        Some(altered)
    }
}

/// Rules broken between registrars.
impl Registrar {
    /// Gives a peer's message to the group as the broken rule has it. `false`:
    /// it is to be given as it is.
    pub(super) fn spoil_wire(&mut self, cx: &mut Cx, message: &[u8]) -> bool {
        let Ok(read) = enrp::Message::parse(message) else { return false };
        match (cx.broken, read.body) {
            (Some(Rule::LostHandleUpdate), Body::HandleUpdate { .. }) => cx.chance.one_in(4),
            (
                Some(Rule::UnownedDelete),
                Body::HandleUpdate { action: UpdateAction::Delete, handle, element, .. },
            ) => {
                let local = cx.local(self.node);
                let mut spaces = self.spaces();
                let owner = spaces.find_map(|space| {
                    let element = space.get(space.find(handle, element.pe)?)?;
                    element.association()
                });
                drop(spaces);
                let client = owner.and_then(|owner| self.clients.get_mut(self.links.get(&owner)?));
                let Some(client) = client else { return false };
                // Removed as if the element itself had asked for it.
                let (at, association) = (client.shard, client.association);
                client.spoiler.asked += 1;
                client.spoiler.surplus.push_back(client.spoiler.asked);
                let mut request = Vec::new();
                let asks = Message::Deregistration { handle, pe: element.pe };
                let _ = asks.emit(&mut request, LengthForm::Rfc);
                if let Some(shard) = self.shards.get_mut(at) {
                    shard.receive(local, association, &request);
                }
                true
            }
            _ => false,
        }
    }

    /// The dead speak.
    pub(super) fn raise_dead(&mut self, cx: &Cx) {
        let local = cx.local(self.node);
        for (wire, presence) in &self.undead {
            if let Some(shard) = self.shards.first_mut() {
                shard.receive_link(local, *wire, presence);
            }
        }
    }

    /// Alters the checksum of presences if an element was ever taken over.
    pub(super) fn spoil_checksum(&mut self, bytes: &mut Vec<u8>) {
        let mut kept = PeChecksum::default();
        let mut moved = core::mem::take(&mut self.moved);
        for element in self.spaces().flat_map(|space| space.pools()).flat_map(|it| it.elements()) {
            if element.home() != self.id {
                continue;
            }
            if element.association().is_none() && !moved.contains(&element.pe()) {
                moved.push(element.pe());
            }
            if !moved.contains(&element.pe()) {
                kept.add(PeChecksum::of(element.handle(), element.pe()));
            }
        }
        self.moved = moved;
        if self.moved.is_empty() {
            return;
        }
        let mut altered = Vec::new();
        for message in Messages(bytes) {
            match enrp::Message::parse(message) {
                Ok(enrp::Message {
                    sender,
                    receiver,
                    body: Body::Presence { reply_required, checksum: Some(_), server },
                }) => {
                    let checksum = Some(kept.finish());
                    let body = Body::Presence { reply_required, checksum, server };
                    let presence = enrp::Message { sender, receiver, body };
                    let _ = presence.emit(&mut altered, LengthForm::Rfc);
                }
                _ => altered.extend_from_slice(message),
            }
        }
        *bytes = altered;
    }
}

/// Presences without the digests of the sender's elements.
pub(super) fn without_values(bytes: &[u8]) -> Vec<u8> {
    let mut altered = Vec::new();
    for message in Messages(bytes) {
        match enrp::Message::parse(message) {
            Ok(presence @ enrp::Message { body: Body::Presence { .. }, .. }) => {
                let start = altered.len();
                let kin = Extensions { values: None, ..Extensions::of(message) };
                let _ = presence.emit(&mut altered, LengthForm::Padded);
                let _ = kin.insert(&mut altered, start);
            }
            _ => altered.extend_from_slice(message),
        }
    }
    altered
}
