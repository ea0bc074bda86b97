//! The server's book: what the client may write, what it owes, and what it is owed.

use std::collections::{BTreeMap, BTreeSet};

use longwire_proto::client::{Connected, Limits, Settings};
use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::encode::AckKind;
use longwire_proto::packet::{
    Ack, ConnAck, Packet, PacketId, PacketType, Publish, QoS, SubAck, Subscribe, Version,
};
use longwire_proto::property::Property;
use longwire_proto::reason::ReasonCode;
use longwire_proto::topic;

/// An acknowledgement may have a code of one byte, which every server must take.
const PACKET_SIZE_MIN: u32 = 5;

pub(super) struct Server {
    pub(super) settings: Settings,
    /// Nothing was sent on this connection that would give the client a reason to leave.
    pub(super) is_fair: bool,
    /// Ends of publications, by their serials.
    pub(super) ended: BTreeMap<u32, ReasonCode>,
    /// Serials of the QoS 2 messages that were taken; they must not come again.
    pub(super) taken: BTreeSet<u32>,
    phase: Phase,
    connections: u32,
    /// Messages to the client.
    messages: u32,
    clean_start: bool,
    limits: Limits,
    keep_alive_secs: u16,
    /// The client's messages in flight, which outlive the connection.
    flows: BTreeMap<PacketId, Flow>,
    /// QoS 2 messages to the client that were delivered and not yet released.
    known: BTreeMap<PacketId, Known>,
    link: Link,
}

/// What ends with the connection.
#[derive(Default)]
struct Link {
    /// Ids of the messages of the client that were sent on this connection and take a place in the window.
    window: BTreeSet<PacketId>,
    /// PUBRELs that a resumed session may send.
    resumed: BTreeSet<PacketId>,
    /// Acknowledgements that the client owes.
    owed: BTreeMap<(u8, PacketId, u8), u32>,
    requests: BTreeMap<PacketId, (bool, usize)>,
    pings: usize,
    aliases: BTreeMap<u16, String>,
    own_aliases: BTreeMap<u16, String>,
    /// Ids of the messages to the client that take a place in its window.
    own_window: BTreeMap<PacketId, QoS>,
    /// Serials of the last PUBLISH of QoS 0, and of QoS 1 and 2.
    last_serials: [u32; 2],
    dialogue: Dialogue,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Closed,
    Opened,
    /// CONNECT came.
    Greeted,
    Accepted,
    /// The client has ended the connection.
    Left,
}

#[derive(Default, PartialEq, Eq)]
enum Dialogue {
    #[default]
    None,
    /// AUTH of the client's is to be answered.
    Asked,
    Challenged,
}

struct Flow {
    serial: u32,
    qos: QoS,
    topic: String,
    released: bool,
    /// Sent on this connection.
    sent: bool,
}

struct Known {
    serial: u32,
    taken: bool,
    /// Connection on which it was sent last.
    sent_on: u32,
}

/// A message to the client that is new to it.
#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) packet_id: Option<PacketId>,
    qos: QoS,
    serial: u32,
    connection: u32,
}

/// What the server owes to the client.
pub(super) enum Answer {
    Ack(AckKind, PacketId),
    SubAck(PacketId, usize),
    UnsubAck(PacketId, usize),
    PingResp,
}

impl Server {
    pub(super) fn new(settings: Settings) -> Self {
        Server {
            settings,
            is_fair: true,
            ended: BTreeMap::new(),
            taken: BTreeSet::new(),
            phase: Phase::Closed,
            connections: 0,
            messages: 0,
            clean_start: true,
            limits: Limits::default(),
            keep_alive_secs: 0,
            flows: BTreeMap::new(),
            known: BTreeMap::new(),
            link: Link::default(),
        }
    }

    pub(super) fn opened(&mut self) {
        if self.phase == Phase::Closed {
            self.phase = Phase::Opened;
            self.connections += 1;
            self.is_fair = true;
        }
    }

    pub(super) fn closed(&mut self) {
        self.phase = Phase::Closed;
        self.link = Link::default();
    }

    /// The client says that the connection is over.
    pub(super) fn left(&mut self) {
        assert!(matches!(self.phase, Phase::Greeted | Phase::Accepted | Phase::Left), "{:?}", self.phase);
        self.phase = Phase::Left;
    }

    /// Whether the client listens.
    pub(super) fn is_heard(&self) -> bool {
        matches!(self.phase, Phase::Greeted | Phase::Accepted)
    }

    pub(super) fn was_clean_start(&self) -> bool {
        self.clean_start
    }

    pub(super) fn keep_alive_ms(&self) -> Option<u64> {
        (self.keep_alive_secs > 0).then_some(u64::from(self.keep_alive_secs) * 1_000)
    }

    fn is_v5(&self) -> bool {
        self.settings.version == Version::V5
    }

    // What the client writes.

    /// Reads whole packets, as a strict server does.
    pub(super) fn reads(&mut self, bytes: &[u8]) {
        let rules = Rules {
            version: self.settings.version,
            receiver: Receiver::Server,
            packet_size_max: u32::MAX,
            strict_text: true,
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match decode::packet(rest, &rules) {
                Ok(Decoded::Packet(packet, len)) => {
                    self.reads_packet(&packet, len);
                    rest = &rest[len..];
                }
                other => panic!("{rest:02x?} is {other:?}"),
            }
        }
    }

    fn reads_packet(&mut self, packet: &Packet<'_>, len: usize) {
        match (self.phase, packet) {
            (Phase::Opened, Packet::Connect(connect)) => {
                self.clean_start = connect.clean_start;
                self.phase = Phase::Greeted;
            }
            (Phase::Greeted | Phase::Accepted, Packet::Auth(auth)) => {
                assert!(self.settings.authentication.is_some(), "AUTH without a method");
                let begins = auth.reason == ReasonCode::ReAuthenticate;
                let fits = if begins { Dialogue::None } else { Dialogue::Challenged };
                assert!(self.link.dialogue == fits, "an AUTH that nobody asked for");
                self.link.dialogue =
                    if self.phase == Phase::Accepted { Dialogue::Asked } else { Dialogue::None };
            }
            (Phase::Accepted, _) => self.reads_accepted(packet),
            _ => panic!("{packet:?} when the connection is {:?}", self.phase),
        }
        let is_limited = self.phase == Phase::Accepted;
        assert!(!is_limited || len <= self.limits.packet_size_max as usize, "{len} bytes are too many");
    }

    fn reads_accepted(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => self.reads_publish(publish),
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                self.reads_ack(packet.packet_type(), ack);
            }
            Packet::Subscribe(subscribe) => {
                self.check_subscribe(subscribe);
                self.reads_request(subscribe.packet_id, true, subscribe.filters.iter().count());
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.reads_request(unsubscribe.packet_id, false, unsubscribe.filters.iter().count());
            }
            Packet::PingReq => self.link.pings += 1,
            Packet::Disconnect(_) => self.phase = Phase::Left,
            other => panic!("{other:?} on an accepted connection"),
        }
    }

    fn reads_publish(&mut self, publish: &Publish<'_>) {
        assert!(publish.qos <= self.limits.qos_max, "QoS {:?}", publish.qos);
        assert!(!publish.retain || self.limits.retain_available, "RETAIN");
        let topic = self.resolved(publish);
        let serial = publish.payload.first_chunk().map(|serial| u32::from_be_bytes(*serial));
        let serial = serial.expect("a payload begins with its serial");
        let last = &mut self.link.last_serials[usize::from(publish.qos != QoS::AtMostOnce)];
        assert!(serial > *last, "{serial} after {last}");
        *last = serial;
        let Some(packet_id) = publish.packet_id else { return };
        assert!(!self.link.requests.contains_key(&packet_id), "{packet_id} is a request's");
        match self.flows.get_mut(&packet_id) {
            None => {
                assert!(!publish.dup, "{serial} is new");
                assert!(!self.taken.contains(&serial), "{serial} was taken, and comes again");
                let flow = Flow { serial, qos: publish.qos, topic, released: false, sent: true };
                self.flows.insert(packet_id, flow);
            }
            Some(flow) => {
                assert!(!flow.sent && !flow.released, "{packet_id} is in use");
                assert!(publish.dup, "{serial} is a repeat");
                let before = (flow.serial, flow.qos, flow.topic.as_str());
                assert_eq!((serial, publish.qos, topic.as_str()), before);
                flow.sent = true;
            }
        }
        self.link.window.insert(packet_id);
        let most = self.limits.receive_maximum.min(self.settings.in_flight_max);
        assert!(self.link.window.len() <= usize::from(most), "{} are too many", self.link.window.len());
    }

    /// The topic that is meant.
    fn resolved(&mut self, publish: &Publish<'_>) -> String {
        let Some(alias) = publish.properties.topic_alias() else { return publish.topic.to_owned() };
        assert!(alias <= self.limits.topic_alias_maximum, "alias {alias}");
        if !publish.topic.is_empty() {
            self.link.aliases.insert(alias, publish.topic.to_owned());
        }
        self.link.aliases.get(&alias).expect("an alias means something").clone()
    }

    fn check_subscribe(&self, subscribe: &Subscribe<'_>) {
        let has_identifier = subscribe.properties.subscription_identifiers().next().is_some();
        assert!(!has_identifier || self.limits.subscription_identifiers_available);
        for (filter, _) in subscribe.filters.iter() {
            assert!(self.limits.shared_available || topic::shared(filter).is_none(), "{filter}");
            assert!(self.limits.wildcards_available || !topic::has_wildcard(filter), "{filter}");
        }
    }

    fn reads_request(&mut self, packet_id: PacketId, subscribe: bool, filters: usize) {
        assert!(!self.flows.contains_key(&packet_id), "{packet_id} is a message's");
        let before = self.link.requests.insert(packet_id, (subscribe, filters));
        assert!(before.is_none(), "{packet_id} is another request's");
    }

    fn reads_ack(&mut self, packet_type: PacketType, ack: &Ack<'_>) {
        let packet_id = ack.packet_id;
        let key = (packet_type as u8, packet_id, ack.reason as u8);
        if let Some(owed) = self.link.owed.get_mut(&key).filter(|owed| **owed > 0) {
            *owed -= 1;
        } else {
            let is_resumed = packet_type == PacketType::PubRel && self.link.resumed.remove(&packet_id);
            assert!(is_resumed, "{packet_type:?} {ack:?} that was not owed");
        }
        let ended = match packet_type {
            PacketType::PubAck => QoS::AtLeastOnce,
            PacketType::PubComp => QoS::ExactlyOnce,
            _ => return,
        };
        if self.link.own_window.get(&packet_id) == Some(&ended) {
            self.link.own_window.remove(&packet_id);
        }
    }

    /// All that the client could write is written: it owes nothing more.
    pub(super) fn check_answered(&self) {
        let owed: Vec<_> = self.link.owed.iter().filter(|(_, owed)| **owed > 0).collect();
        assert!(owed.is_empty(), "{owed:?} are owed");
    }

    fn owe(&mut self, packet_type: PacketType, packet_id: PacketId, reason: ReasonCode) {
        let reason = if self.is_v5() { reason } else { ReasonCode::Success };
        *self.link.owed.entry((packet_type as u8, packet_id, reason as u8)).or_default() += 1;
    }

    // What the client is sent.

    /// Everything that waits for an answer.
    pub(super) fn answers(&self) -> Vec<Answer> {
        if self.phase != Phase::Accepted {
            return Vec::new();
        }
        let kind = |flow: &Flow| match flow.qos {
            QoS::ExactlyOnce if flow.released => AckKind::PubComp,
            QoS::ExactlyOnce => AckKind::PubRec,
            _ => AckKind::PubAck,
        };
        let is_there = |(id, flow): &(&PacketId, &Flow)| flow.sent && !self.link.resumed.contains(id);
        let acks = self.flows.iter().filter(is_there).map(|(id, flow)| Answer::Ack(kind(flow), *id));
        let requests = self.link.requests.iter().map(|(id, (subscribe, filters))| {
            if *subscribe { Answer::SubAck(*id, *filters) } else { Answer::UnsubAck(*id, *filters) }
        });
        let pings = (0..self.link.pings.min(1)).map(|_| Answer::PingResp);
        acks.chain(requests).chain(pings).collect()
    }

    /// The server sends this. Notes whether it is fair, and what is owed for it; tells of a message that the client has
    /// to deliver.
    pub(super) fn sends(&mut self, packet: &Packet<'_>) -> Option<Delivery> {
        let is_fair = match (self.phase, packet) {
            (Phase::Greeted, Packet::ConnAck(connack)) => self.is_fair_connack(connack),
            (_, Packet::Auth(auth)) => {
                let method = self.settings.authentication.as_ref().map(|method| method.method.as_str());
                let fits = method.is_some() && auth.properties.authentication_method() == method;
                fits && self.sends_auth(auth.reason)
            }
            (Phase::Accepted, Packet::Publish(publish)) => return self.sends_publish(publish),
            (Phase::Accepted, Packet::PubAck(ack)) => self.sends_puback(ack),
            (Phase::Accepted, Packet::PubRec(ack)) => self.sends_pubrec(ack),
            (Phase::Accepted, Packet::PubComp(ack)) => self.sends_pubcomp(ack),
            (Phase::Accepted, Packet::PubRel(ack)) => {
                let is_known = self.known.remove(&ack.packet_id).is_some();
                let unknown = ReasonCode::PacketIdentifierNotFound;
                let reason = if is_known { ReasonCode::Success } else { unknown };
                self.owe(PacketType::PubComp, ack.packet_id, reason);
                true
            }
            (Phase::Accepted, Packet::SubAck(ack)) => self.sends_answer(ack, true),
            (Phase::Accepted, Packet::UnsubAck(ack)) => self.sends_answer(ack, false),
            (Phase::Accepted, Packet::PingResp) => {
                self.link.pings = 0;
                true
            }
            (Phase::Accepted, Packet::Disconnect(_)) => true,
            _ => false,
        };
        self.is_fair &= is_fair;
        None
    }

    fn is_fair_connack(&self, connack: &ConnAck<'_>) -> bool {
        let method = self.settings.authentication.as_ref().map(|method| method.method.as_str());
        let limit = connack.properties.maximum_packet_size();
        connack.reason != ReasonCode::Success
            || connack.properties.authentication_method() == method
                && !(connack.session_present && self.clean_start)
                && limit.is_none_or(|limit| limit >= PACKET_SIZE_MIN)
    }

    fn sends_auth(&mut self, reason: ReasonCode) -> bool {
        let expected = if self.phase == Phase::Greeted { Dialogue::None } else { Dialogue::Asked };
        let is_challenge = reason == ReasonCode::ContinueAuthentication;
        let fits = self.link.dialogue == expected && (is_challenge || self.phase == Phase::Accepted);
        if fits {
            self.link.dialogue = if is_challenge { Dialogue::Challenged } else { Dialogue::None };
        }
        fits
    }

    fn sends_publish(&mut self, publish: &Publish<'_>) -> Option<Delivery> {
        let topic = self.sends_topic(publish);
        self.is_fair &= topic.is_some();
        let topic = topic?;
        let (payload, qos, packet_id) = (publish.payload.to_vec(), publish.qos, publish.packet_id);
        self.messages += 1;
        let serial = self.messages;
        let delivery = Delivery { topic, payload, packet_id, qos, serial, connection: self.connections };
        let Some(packet_id) = packet_id else { return Some(delivery) };
        if let Some(known) = self.known.get_mut(&packet_id) {
            if qos == QoS::AtLeastOnce {
                self.is_fair = false;
                return None;
            }
            known.sent_on = self.connections;
            if known.taken {
                self.owe(PacketType::PubRec, packet_id, ReasonCode::Success);
            }
            return None;
        }
        let has_place = self.link.own_window.len() < usize::from(self.settings.receive_maximum);
        self.is_fair &= has_place || !self.is_v5();
        self.is_fair &= self.link.own_window.insert(packet_id, qos).is_none();
        Some(delivery)
    }

    /// The topic that a message to the client means; `None` if it means none.
    fn sends_topic(&mut self, publish: &Publish<'_>) -> Option<String> {
        let Some(alias) = publish.properties.topic_alias() else { return Some(publish.topic.to_owned()) };
        if alias > self.settings.topic_alias_maximum {
            return None;
        }
        if !publish.topic.is_empty() {
            self.link.own_aliases.insert(alias, publish.topic.to_owned());
        }
        self.link.own_aliases.get(&alias).cloned()
    }

    fn sends_puback(&mut self, ack: &Ack<'_>) -> bool {
        match self.flows.get(&ack.packet_id) {
            Some(flow) if flow.qos == QoS::AtLeastOnce => {
                self.end(ack.packet_id, ack.reason);
                true
            }
            flow => flow.is_none(),
        }
    }

    fn sends_pubrec(&mut self, ack: &Ack<'_>) -> bool {
        let packet_id = ack.packet_id;
        let is_refusal = ack.reason.is_error();
        match self.flows.get_mut(&packet_id) {
            None if is_refusal => true,
            None => {
                self.owe(PacketType::PubRel, packet_id, ReasonCode::PacketIdentifierNotFound);
                true
            }
            Some(flow) if flow.qos == QoS::AtLeastOnce || flow.released && is_refusal => false,
            Some(_) if is_refusal => {
                self.end(packet_id, ack.reason);
                true
            }
            Some(flow) => {
                flow.released = true;
                self.taken.insert(flow.serial);
                self.owe(PacketType::PubRel, packet_id, ReasonCode::Success);
                true
            }
        }
    }

    fn sends_pubcomp(&mut self, ack: &Ack<'_>) -> bool {
        match self.flows.get(&ack.packet_id) {
            Some(flow) if flow.released => {
                self.end(ack.packet_id, ReasonCode::Success);
                true
            }
            flow => flow.is_none(),
        }
    }

    fn end(&mut self, packet_id: PacketId, reason: ReasonCode) {
        if let Some(flow) = self.flows.remove(&packet_id) {
            self.ended.insert(flow.serial, reason);
        }
        self.link.window.remove(&packet_id);
        self.link.resumed.remove(&packet_id);
    }

    fn sends_answer(&mut self, ack: &SubAck<'_>, subscribe: bool) -> bool {
        let has_codes = subscribe || self.is_v5();
        let fits = |&(asked, filters): &(bool, usize)| {
            asked == subscribe && (filters == ack.raw_codes.len() || !has_codes)
        };
        let is_fair = self.link.requests.get(&ack.packet_id).is_some_and(fits);
        if is_fair {
            self.link.requests.remove(&ack.packet_id);
        }
        is_fair
    }

    // What the client and its owner made of it.

    /// The client went on: if that was CONNACK, the session is resumed or begun.
    pub(super) fn accepted(&mut self, packet: &Packet<'_>) {
        let (Phase::Greeted, Packet::ConnAck(connack)) = (self.phase, packet) else { return };
        self.phase = Phase::Accepted;
        self.link.dialogue = Dialogue::None;
        self.limits = limits_of(connack);
        self.keep_alive_secs =
            connack.properties.server_keep_alive().unwrap_or(self.settings.keep_alive_secs);
        if !connack.session_present {
            self.flows.clear();
            self.known.clear();
        }
        for (packet_id, flow) in &mut self.flows {
            flow.sent = flow.released;
            if flow.released {
                self.link.resumed.insert(*packet_id);
            }
        }
    }

    /// The client has understood CONNACK as it was meant.
    pub(super) fn check_understood(&self, connected: &Connected) {
        assert_eq!((connected.limits, connected.keep_alive_secs), (self.limits, self.keep_alive_secs));
    }

    pub(super) fn delivered(&mut self, delivery: &Delivery) {
        if let Some(packet_id) = delivery.packet_id.filter(|_| delivery.qos == QoS::ExactlyOnce) {
            let known = Known { serial: delivery.serial, taken: false, sent_on: delivery.connection };
            assert!(self.known.insert(packet_id, known).is_none(), "a QoS 2 message is delivered once");
        }
    }

    /// The owner has taken a message over.
    pub(super) fn acknowledged(&mut self, delivery: Delivery, is_online: bool) {
        let Some(packet_id) = delivery.packet_id else { return };
        let is_present = delivery.connection == self.connections;
        if delivery.qos == QoS::AtLeastOnce {
            if is_present && is_online {
                self.owe(PacketType::PubAck, packet_id, ReasonCode::Success);
            }
            return;
        }
        let known = self.known.get_mut(&packet_id);
        let Some(known) = known.filter(|known| known.serial == delivery.serial && !known.taken) else {
            return;
        };
        known.taken = true;
        if known.sent_on == self.connections && is_online {
            self.owe(PacketType::PubRec, packet_id, ReasonCode::Success);
        }
    }

    /// The client cannot send a message to this server, and has ended its hand-shake.
    pub(super) fn given_up(&mut self, serial: u32) {
        self.flows.retain(|_, flow| flow.serial != serial);
    }
}

/// What a CONNACK allows; what it does not mention is not limited.
fn limits_of(connack: &ConnAck<'_>) -> Limits {
    let mut limits = Limits::default();
    for property in connack.properties.iter() {
        match property {
            Property::ReceiveMaximum(messages) => limits.receive_maximum = messages,
            Property::MaximumPacketSize(bytes) => limits.packet_size_max = bytes,
            Property::TopicAliasMaximum(aliases) => limits.topic_alias_maximum = aliases,
            Property::MaximumQoS(0) => limits.qos_max = QoS::AtMostOnce,
            Property::MaximumQoS(_) => limits.qos_max = QoS::AtLeastOnce,
            Property::RetainAvailable(is_there) => limits.retain_available = is_there,
            Property::WildcardSubscriptionAvailable(is_there) => limits.wildcards_available = is_there,
            Property::SubscriptionIdentifierAvailable(is_there) => {
                limits.subscription_identifiers_available = is_there;
            }
            Property::SharedSubscriptionAvailable(is_there) => limits.shared_available = is_there,
            Property::SessionExpiryInterval(secs) => limits.session_expiry_secs = Some(secs),
            _ => {}
        }
    }
    limits
}
