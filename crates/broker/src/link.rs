//! One network connection after its CONNECT: version, limits of the peer, aliases, what it is still owed, and the
//! bytes that wait for its socket.
//!
//! A link knows its session by number only; rules that outlive a connection are in [`crate::session`]. Whatever
//! only some links need sits in one boxed block, so that an idle QoS 0 subscriber costs a few words.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use longwire_proto::encode::{self, AckKind};
use longwire_proto::packet::{Ack, Publish};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{Packet, PacketId, QoS, ReasonCode, Version};

use crate::authenticate::Authentication;
use crate::effect::{Effects, Ticket};
use crate::input::LinkId;
use crate::limits::Limits;
use crate::message::{MessageView, Millis, is_forwarded};
use crate::outbox::{Outbox, OutboxPool};
use crate::session::Replay;
use crate::teeth::{Tooth, bites};

/// Bytes a topic must have before an alias saves anything: the property itself takes three.
const ALIASED_TOPIC_BYTES_MIN: usize = 4;

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// CONNECT came with an authentication method; the exchange runs.
    Authenticating,
    /// CONNECT was accepted, CONNACK waits for its records to be kept.
    Accepted,
    /// CONNACK was sent.
    Open,
    /// It closed; only its last bytes are still to be sent.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) outbox: Outbox,
    extra: Option<Box<LinkExtra>>,
    /// Slot of its session; meaningless while authenticating.
    pub(crate) session: u32,
    pub(crate) version: Version,
    pub(crate) state: LinkState,
    /// Reason strings and user properties may be sent `[MQTT-3.1.2-29]`.
    pub(crate) problem_information: bool,
    /// A Mosquitto-style bridge: no echo, RETAIN as published.
    pub(crate) bridge: bool,
    /// We stopped reading because of what we owe it.
    pub(crate) paused: bool,
    /// Deliveries were held back since its outbox was full.
    pub(crate) slow: bool,
    dirty: bool,
}

/// What only some links need.
#[derive(Debug, Default)]
pub(crate) struct LinkExtra {
    owed: VecDeque<Owed>,
    /// Bytes of what is owed.
    owed_bytes: usize,
    /// QoS 1 and 2 PUBLISH packets among what is owed.
    pub(crate) unanswered: u16,
    /// QoS 1 ones among them.
    pub(crate) unanswered_qos1: u16,
    /// QoS 2 ids received on this connection and not released.
    pub(crate) inbound_open: u16,
    /// Bytes of the largest packet the peer takes; 0 is no limit.
    pub(crate) packet_size_max: u32,
    aliases_in: Vec<Option<Arc<str>>>,
    aliases_out: HashMap<Box<str>, u16>,
    aliases_out_max: u16,
    pub(crate) authentication: Option<Box<Authentication>>,
}

/// An answer that waits for its ticket, or behind one that does.
#[derive(Debug)]
struct Owed {
    ticket: Ticket,
    answer: Answer,
}

/// What is sent once a ticket is kept.
#[derive(Debug)]
pub(crate) enum Answer {
    /// PUBACK or PUBREC to a publisher.
    Received(AckKind, PacketId, ReasonCode),
    /// PUBREL or PUBCOMP.
    Ack(AckKind, PacketId, ReasonCode),
    /// Any packet, encoded.
    Bytes(Box<[u8]>),
    /// The encoded CONNACK; the session begins to receive after it.
    ConnAck(Box<[u8]>),
    /// The encoded SUBACK; retained messages follow it.
    SubAck(Box<[u8]>, Vec<Replay>),
}

/// What the session must do after an owed answer left.
#[derive(Debug)]
pub(crate) enum Afterwards {
    /// Begin to receive.
    Begin,
    /// Send these retained messages.
    Replay(Vec<Replay>),
}

impl Answer {
    /// Bytes of the packet; acknowledgements are counted by their common length.
    fn len(&self) -> usize {
        match self {
            Answer::Received(..) | Answer::Ack(..) => 4,
            Answer::Bytes(bytes) | Answer::ConnAck(bytes) | Answer::SubAck(bytes, _) => bytes.len(),
        }
    }

    /// The kind of packet if it answers a PUBLISH.
    fn received(&self) -> Option<AckKind> {
        match self {
            Answer::Received(kind, ..) => Some(*kind),
            _ => None,
        }
    }
}

/// One copy of a message for one link.
pub(crate) struct Copy<'a> {
    pub(crate) now: Millis,
    pub(crate) view: &'a MessageView<'a>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) identifiers: &'a [u32],
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It waits in the outbox.
    Written,
    /// It is larger than the peer takes, and counts as sent `[MQTT-3.1.2-25]`.
    TooLarge,
}

impl Link {
    pub(crate) fn new(version: Version) -> Self {
        Link {
            outbox: Outbox::default(),
            extra: None,
            session: u32::MAX,
            version,
            state: LinkState::Authenticating,
            problem_information: true,
            bridge: false,
            paused: false,
            slow: false,
            dirty: false,
        }
    }

    pub(crate) fn extra(&self) -> Option<&LinkExtra> {
        self.extra.as_deref()
    }

    pub(crate) fn extra_mut(&mut self) -> &mut LinkExtra {
        self.extra.get_or_insert_default()
    }

    /// Bytes of the largest packet the peer takes.
    pub(crate) fn packet_size_max(&self) -> usize {
        match self.extra() {
            Some(extra) if extra.packet_size_max > 0 => extra.packet_size_max as usize,
            _ => usize::MAX,
        }
    }

    /// The peer lets us use topic aliases up to `max` `[MQTT-3.1.2-26]`; 0 is none `[MQTT-3.1.2-27]`.
    pub(crate) fn allow_aliases_out(&mut self, max: u16) {
        if max > 0 {
            self.extra_mut().aliases_out_max = max;
        }
    }

    /// Remembers an alias the peer set `[MQTT-3.3.2-12]`. The caller has checked its range.
    pub(crate) fn set_alias_in(&mut self, alias: u16, topic: &str) {
        let aliases = &mut self.extra_mut().aliases_in;
        let index = usize::from(alias);
        if aliases.len() <= index {
            aliases.resize_with(index + 1, || None);
        }
        aliases[index] = Some(topic.into());
    }

    /// The topic an alias stands for.
    pub(crate) fn alias_in(&self, alias: u16) -> Option<Arc<str>> {
        self.extra()?.aliases_in.get(usize::from(alias))?.clone()
    }

    /// True if answers wait, so that a new one has to queue behind them `[MQTT-4.6.0-2]`
    /// `[MQTT-4.6.0-2 of 3.1.1]` `[MQTT-4.6.0-3 of 3.1.1]`.
    pub(crate) fn owes(&self) -> bool {
        self.extra().is_some_and(|extra| !extra.owed.is_empty())
    }

    /// Bytes that wait for its socket, those it is owed included.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.len() + self.extra().map_or(0, |extra| extra.owed_bytes)
    }

    fn has_aliases_out(&self) -> bool {
        self.extra().is_some_and(|extra| extra.aliases_out_max > 0)
    }
}

/// All links of a shard, with what they share: buffers, and the encoded form of the message of the moment.
#[derive(Debug)]
pub(crate) struct Links {
    slots: Vec<Option<Link>>,
    count: usize,
    pool: OutboxPool,
    frames: Frames,
    properties: PropertiesBuf,
    outbox_bytes_max: usize,
    receive_max: u16,
    /// PUBLISH packets written, and their bytes.
    pub(crate) publishes_sent: u64,
    pub(crate) publish_bytes_sent: u64,
    /// Packets written of any type.
    pub(crate) packets_sent: u64,
}

/// Bytes in free outbox buffers that a shard keeps.
const POOLED_BYTES_MAX: usize = 4 << 20;

impl Links {
    pub(crate) fn new(limits: &Limits) -> Self {
        Links {
            slots: Vec::new(),
            count: 0,
            pool: OutboxPool::new(POOLED_BYTES_MAX),
            frames: Frames::default(),
            properties: PropertiesBuf::new(),
            outbox_bytes_max: limits.outbox_bytes_max,
            receive_max: limits.receive_max,
            publishes_sent: 0,
            publish_bytes_sent: 0,
            packets_sent: 0,
        }
    }

    pub(crate) fn insert(&mut self, id: LinkId, link: Link) {
        let index = id as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        debug_assert!(self.slots[index].is_none(), "a link number is given out again only after it closed");
        self.slots[index] = Some(link);
        self.count += 1;
    }

    /// A link that has not closed.
    pub(crate) fn at(&self, id: LinkId) -> Option<&Link> {
        self.slots.get(id as usize)?.as_ref().filter(|link| link.state != LinkState::Closing)
    }

    /// A link that has not closed.
    pub(crate) fn at_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.slots.get_mut(id as usize)?.as_mut().filter(|link| link.state != LinkState::Closing)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Numbers in use, those of closed links included that are not forgotten.
    pub(crate) fn slots_in_use(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Bytes that wait for all sockets, those of what they are owed included.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.slots.iter().flatten().map(Link::waiting_bytes).sum()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = LinkId> + '_ {
        (0..self.slots.len() as LinkId).filter(|&id| self.at(id).is_some())
    }

    /// Closes a link: it is not found any more, and only its last bytes are kept until [`Links::forget`].
    pub(crate) fn close(&mut self, id: LinkId, effects: &mut Effects) {
        if let Some(link) = self.at_mut(id) {
            link.state = LinkState::Closing;
            link.extra = None;
            self.count -= 1;
            effects.closes.push(id);
        }
    }

    /// Frees the number of a closed link.
    pub(crate) fn forget(&mut self, id: LinkId) {
        if let Some(mut link) = self.slots.get_mut(id as usize).and_then(Option::take) {
            link.outbox.clear(&mut self.pool);
        }
        while self.slots.last().is_some_and(Option::is_none) {
            self.slots.pop();
        }
        if self.slots.capacity() > 4 * self.slots.len().max(256) {
            self.slots.shrink_to(2 * self.slots.len());
        }
    }

    /// True if the link's socket keeps up.
    pub(crate) fn has_room(&self, id: LinkId) -> bool {
        self.at(id).is_some_and(|link| link.waiting_bytes() < self.outbox_bytes_max)
    }

    /// What the link's socket has to take.
    pub(crate) fn pending(&self, id: LinkId) -> &[u8] {
        self.slots.get(id as usize).and_then(Option::as_ref).map_or(&[], |link| link.outbox.pending())
    }

    /// The socket took `count` bytes. True if everything is sent and deliveries were held back before.
    pub(crate) fn sent(&mut self, id: LinkId, count: usize) -> bool {
        let Some(Some(link)) = self.slots.get_mut(id as usize) else { return false };
        link.outbox.advance(count, &mut self.pool);
        link.outbox.is_empty() && link.slow
    }

    /// The turn has begun to send what waits; the next write marks the link again.
    pub(crate) fn begin_sending(&mut self, id: LinkId) {
        if let Some(link) = self.at_mut(id) {
            link.dirty = false;
        }
    }

    /// Writes any packet. One that is larger than the peer takes is not written `[MQTT-3.1.2-24]`, nor is a refusal for
    /// which the version has no code `[MQTT-3.2.2-6 of 3.1.1]`.
    pub(crate) fn send(&mut self, id: LinkId, packet: &Packet<'_>, effects: &mut Effects) {
        let Some(Some(link)) = self.slots.get_mut(id as usize) else { return };
        let out = link.outbox.bytes(&mut self.pool);
        let start = out.len();
        if encode::packet(packet, link.version, out).is_err() || out.len() - start > link.packet_size_max() {
            link.outbox.bytes(&mut self.pool).truncate(start);
            return;
        }
        self.packets_sent += 1;
        mark(link, id, effects);
    }

    /// Writes bytes that were encoded before.
    fn send_bytes(&mut self, id: LinkId, bytes: &[u8], effects: &mut Effects) {
        let Some(Some(link)) = self.slots.get_mut(id as usize) else { return };
        link.outbox.bytes(&mut self.pool).extend_from_slice(bytes);
        self.packets_sent += 1;
        mark(link, id, effects);
    }

    /// Writes PUBACK, PUBREC, PUBREL or PUBCOMP, with the id of its PUBLISH `[MQTT-2.2.1-5]` `[MQTT-2.3.1-6 of 3.1.1]`.
    /// Ours explain nothing, so that no peer can be too small for them: `[MQTT-3.4.2-2]` `[MQTT-3.4.2-3]`
    /// `[MQTT-3.5.2-2]` `[MQTT-3.5.2-3]` `[MQTT-3.6.2-2]` `[MQTT-3.6.2-3]` `[MQTT-3.7.2-2]` `[MQTT-3.7.2-3]`.
    fn send_ack(&mut self, id: LinkId, kind: AckKind, ack: &Ack<'_>, effects: &mut Effects) {
        let Some(Some(link)) = self.slots.get_mut(id as usize) else { return };
        encode::ack(kind, ack, link.version, link.outbox.bytes(&mut self.pool));
        self.packets_sent += 1;
        mark(link, id, effects);
    }

    /// Answers at once if nothing has to be kept for it and nothing is owed before it; else when its turn comes.
    /// Returns what the session has to do if the answer has left. No window of deliveries holds an answer back
    /// `[MQTT-3.3.4-10]` `[MQTT-4.9.0-3]`.
    pub(crate) fn answer(
        &mut self,
        id: LinkId,
        ticket: Option<Ticket>,
        answer: Answer,
        effects: &mut Effects,
    ) -> Option<Afterwards> {
        let link = self.at_mut(id)?;
        if ticket.is_none() && (!link.owes() || bites(Tooth::AnswersOvertake)) {
            return self.give(id, answer, effects);
        }
        let received = answer.received();
        let extra = link.extra_mut();
        extra.owed_bytes += answer.len();
        extra.owed.push_back(Owed { ticket: ticket.unwrap_or(0), answer });
        if let Some(kind) = received {
            extra.unanswered += 1;
            extra.unanswered_qos1 += u16::from(kind == AckKind::PubAck);
            let full = extra.unanswered >= self.receive_max;
            self.pause_if(id, full, effects);
        }
        None
    }

    /// Sends what is owed up to the first answer whose ticket is after `kept`.
    pub(crate) fn release(&mut self, id: LinkId, kept: Ticket, effects: &mut Effects) -> Vec<Afterwards> {
        let mut afterwards = Vec::new();
        while let Some(Some(link)) = self.slots.get_mut(id as usize) {
            let Some(extra) = link.extra.as_deref_mut() else { break };
            if extra.owed.front().is_none_or(|owed| owed.ticket > kept) {
                break;
            }
            let Some(owed) = extra.owed.pop_front() else { break };
            extra.owed_bytes -= owed.answer.len();
            if let Some(kind) = owed.answer.received() {
                extra.unanswered -= 1;
                extra.unanswered_qos1 -= u16::from(kind == AckKind::PubAck);
            }
            if let Some(then) = self.give(id, owed.answer, effects) {
                afterwards.push(then);
            }
        }
        if let Some(link) = self.at(id)
            && link.paused
            && link.extra().is_none_or(|extra| extra.unanswered < self.receive_max)
        {
            self.pause_if(id, false, effects);
        }
        afterwards
    }

    fn pause_if(&mut self, id: LinkId, pause: bool, effects: &mut Effects) {
        let Some(link) = self.at_mut(id) else { return };
        if link.paused != pause {
            link.paused = pause;
            effects.reading.push((id, !pause));
        }
    }

    fn give(&mut self, id: LinkId, answer: Answer, effects: &mut Effects) -> Option<Afterwards> {
        match answer {
            Answer::Received(kind, packet_id, reason) | Answer::Ack(kind, packet_id, reason) => {
                self.send_ack(id, kind, &Ack::new(packet_id, reason), effects);
                None
            }
            Answer::Bytes(bytes) => {
                self.send_bytes(id, &bytes, effects);
                None
            }
            Answer::ConnAck(bytes) => {
                self.at_mut(id)?.state = LinkState::Open;
                self.send_bytes(id, &bytes, effects);
                Some(Afterwards::Begin)
            }
            Answer::SubAck(bytes, replays) => {
                self.send_bytes(id, &bytes, effects);
                Some(Afterwards::Replay(replays))
            }
        }
    }

    /// A new message is about to be written to any number of links.
    pub(crate) fn begin_message(&mut self) {
        self.frames.forget();
    }

    /// Writes one copy of the message of the moment.
    pub(crate) fn publish(&mut self, id: LinkId, copy: &Copy<'_>, effects: &mut Effects) -> Sent {
        let Some(Some(link)) = self.slots.get_mut(id as usize) else { return Sent::Written };
        let size_max = link.packet_size_max();
        let is_plain = copy.identifiers.is_empty()
            && !link.has_aliases_out()
            && copy.view.payload.len() <= FRAMED_PAYLOAD_MAX;
        let out = link.outbox.bytes(&mut self.pool);
        let start = out.len();
        if is_plain {
            let frame = self.frames.frame(link.version, copy, &mut self.properties);
            if frame.bytes.len() > size_max {
                return Sent::TooLarge;
            }
            out.extend_from_slice(&frame.bytes);
            if let (Some(offset), Some(packet_id)) = (frame.packet_id_at, copy.packet_id) {
                out[start + offset..start + offset + 2].copy_from_slice(&packet_id.get().to_be_bytes());
            }
            if copy.dup {
                out[start] |= DUP;
            }
        } else if !write_special(link, copy, &mut self.properties, &mut self.pool, size_max) {
            return Sent::TooLarge;
        }
        self.packets_sent += 1;
        self.publishes_sent += 1;
        self.publish_bytes_sent += copy.view.payload.len() as u64;
        mark(link, id, effects);
        Sent::Written
    }

    /// A copy in its encoded form, for an answer that waits for a ticket. `None` if it is too large for the peer.
    pub(crate) fn encoded(&mut self, id: LinkId, copy: &Copy<'_>) -> Option<Box<[u8]>> {
        let link = self.at(id)?;
        let (version, size_max) = (link.version, link.packet_size_max());
        let mut out = Vec::new();
        let properties = copy_properties(version, copy, None, &mut self.properties);
        encode::publish(&packet_of(copy, copy.view.topic, properties), version, &mut out).ok()?;
        (out.len() <= size_max).then(|| out.into_boxed_slice())
    }
}

/// Payload bytes up to which a message is encoded once and copied as a whole. Beyond, copying the payload once more
/// costs more than encoding the rest again.
const FRAMED_PAYLOAD_MAX: usize = 1 << 10;

/// DUP in the first byte of a PUBLISH.
const DUP: u8 = 0x08;

fn mark(link: &mut Link, id: LinkId, effects: &mut Effects) {
    if !link.dirty {
        link.dirty = true;
        effects.writes.push(id);
    }
}

/// Writes a copy that is this link's alone: with subscription identifiers, where aliases are allowed, or a large one.
fn write_special(
    link: &mut Link,
    copy: &Copy<'_>,
    scratch: &mut PropertiesBuf,
    pool: &mut OutboxPool,
    size_max: usize,
) -> bool {
    let topic = copy.view.topic;
    let (alias, is_new) = match link.extra.as_deref() {
        Some(extra) if extra.aliases_out_max > 0 && topic.len() >= ALIASED_TOPIC_BYTES_MIN => {
            let known = extra.aliases_out.get(topic).copied();
            let next = extra.aliases_out.len() as u16 + 1;
            (known.or_else(|| (next <= extra.aliases_out_max).then_some(next)), known.is_none())
        }
        _ => (None, false),
    };
    let topic_sent = if alias.is_some() && !is_new { "" } else { topic };
    let properties = copy_properties(link.version, copy, alias, scratch);
    let out = link.outbox.bytes(pool);
    let start = out.len();
    let written = encode::publish(&packet_of(copy, topic_sent, properties), link.version, out).is_ok();
    if !written || out.len() - start > size_max {
        out.truncate(start);
        return false;
    }
    if let (Some(alias), true) = (alias, is_new) {
        // Only now: a copy that was dropped for its size has not told the peer the alias (H14).
        link.extra_mut().aliases_out.insert(topic.into(), alias);
    }
    true
}

/// DUP is 0 when a message is first sent `[MQTT-4.3.1-1]` `[MQTT-4.3.2-2]` `[MQTT-4.3.3-2]` `[MQTT-4.3.1-1 of 3.1.1]`.
fn packet_of<'a>(copy: &Copy<'a>, topic: &'a str, properties: Properties<'a>) -> Publish<'a> {
    Publish {
        dup: copy.dup,
        qos: copy.qos,
        retain: copy.retain,
        topic,
        packet_id: copy.packet_id,
        properties,
        payload: copy.view.payload,
    }
}

/// The properties of one copy: what is left of the expiry interval, what the publisher set, our identifiers and alias.
fn copy_properties<'a>(
    version: Version,
    copy: &Copy<'a>,
    alias: Option<u16>,
    scratch: &'a mut PropertiesBuf,
) -> Properties<'a> {
    if version < Version::V5 {
        return Properties::EMPTY;
    }
    let expiry_secs = copy.view.expiry_secs_left(copy.now);
    if expiry_secs.is_none() && copy.identifiers.is_empty() && alias.is_none() {
        return copy.view.properties;
    }
    scratch.clear();
    if let Some(secs) = expiry_secs {
        scratch.push(Property::MessageExpiryInterval(secs));
    }
    if let Some(alias) = alias {
        scratch.push(Property::TopicAlias(alias));
    }
    for &identifier in copy.identifiers {
        scratch.push(Property::SubscriptionIdentifier(identifier));
    }
    scratch.extend_raw(copy.view.properties);
    scratch.as_properties()
}

/// The properties of a publication that are forwarded, unchanged and in their order: Payload Format Indicator
/// `[MQTT-3.3.2-4]`, Response Topic `[MQTT-3.3.2-15]`, Correlation Data `[MQTT-3.3.2-16]`, User Properties
/// `[MQTT-3.3.2-17]`, Content Type `[MQTT-3.3.2-20]`. Copied only if some others are among them.
pub(crate) fn forwarded<'a>(properties: Properties<'a>, scratch: &'a mut PropertiesBuf) -> Properties<'a> {
    if properties.iter().all(|property| is_forwarded(&property)) {
        return properties;
    }
    scratch.clear();
    for property in properties.iter().filter(is_forwarded) {
        scratch.push(property);
    }
    scratch.as_properties()
}

/// The message of the moment as most receivers get it, encoded once for each version.
#[derive(Debug, Default)]
struct Frames {
    frames: [Frame; 2],
}

#[derive(Debug, Default)]
struct Frame {
    /// What it was encoded for; `None` if nothing valid is held.
    shape: Option<(QoS, bool)>,
    bytes: Vec<u8>,
    packet_id_at: Option<usize>,
}

/// Bytes of frame buffer kept between messages.
const FRAME_CAPACITY_MAX: usize = 64 << 10;

impl Frames {
    fn forget(&mut self) {
        for frame in &mut self.frames {
            frame.shape = None;
            if frame.bytes.capacity() > FRAME_CAPACITY_MAX {
                frame.bytes = Vec::new();
            }
        }
    }

    fn frame(&mut self, version: Version, copy: &Copy<'_>, scratch: &mut PropertiesBuf) -> &Frame {
        let frame = &mut self.frames[usize::from(version == Version::V5)];
        let shape = (copy.qos, copy.retain);
        if frame.shape != Some(shape) {
            frame.bytes.clear();
            let properties = copy_properties(version, copy, None, scratch);
            let mut packet = packet_of(copy, copy.view.topic, properties);
            packet.dup = false;
            frame.packet_id_at = encode::publish(&packet, version, &mut frame.bytes).unwrap_or(None);
            frame.shape = Some(shape);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_link_costs_a_few_words() {
        assert!(size_of::<Option<Link>>() <= 32, "{} bytes", size_of::<Option<Link>>());
    }
}
