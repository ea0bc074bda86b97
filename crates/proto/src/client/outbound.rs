//! Packets to the server: what may leave, in which order, and what stays until it may.
//!
//! Neighbours: `super` holds the state, [`super::inbound`] decides what is answered. Nothing is written past
//! the server's limits `[MQTT-3.2.2-15]` `[MQTT-3.3.4-7]`, and nothing after DISCONNECT `[MQTT-3.14.4-1]`
//! `[MQTT-3.14.4-2 of 3.1.1]`: every writer below needs a connection that is not over.

use super::alias::Spelling;
use super::event::{Event, Limits, Outcome, RequestId};
use super::queue::Held;
use super::request::{self, Request, Wish};
use super::{AuthenticateError, Client, OUTPUT_SOFT_MAX, Phase, Publication, PublishError, SubscribeError};
use crate::encode::{self, AckKind};
use crate::packet::{Ack, Auth, Connect, Disconnect, PacketId, Publish, QoS, Version};
use crate::property::table::Holder;
use crate::property::{Properties, PropertiesBuf, Property};
use crate::reason::ReasonCode;
use crate::transfer::Stage;
use crate::{Packet, decode, packet};

/// Bytes of filters in one SUBSCRIBE that renews subscriptions.
const RENEWAL_BYTES_MAX: usize = 16 * 1024;

impl Client {
    /// Whether CONNECT asks for a clean start: at first if the settings say so; later only before 5.0, where a
    /// clean session cannot be resumed.
    pub(super) fn starts_clean(&self) -> bool {
        self.settings.clean_start && (self.settings.version < Version::V5 || !self.session.exists)
    }

    pub(super) fn write_connect(&mut self) {
        let properties = self.connect_properties();
        let settings = &self.settings;
        let will = settings.will.as_ref().map(|will| packet::Will {
            qos: will.qos,
            retain: will.retain,
            topic: &will.topic,
            payload: &will.payload,
            properties: will.properties.as_properties(),
        });
        let connect = Connect {
            version: settings.version,
            // A level of the standard's, without private bits [MQTT-7.0.0-2 of 3.1.1].
            bridge: false,
            clean_start: self.starts_clean(),
            keep_alive_secs: settings.keep_alive_secs,
            client_id: &self.id,
            will,
            user_name: settings.user_name.as_deref(),
            password: settings.password.as_deref(),
            properties: properties.as_properties(),
        };
        let written = encode::packet(&Packet::Connect(connect), settings.version, &mut self.output);
        debug_assert!(written.is_ok(), "settings were checked to make a valid CONNECT");
    }

    /// What the settings announce; a value equal to the standard's default is left out.
    fn connect_properties(&self) -> PropertiesBuf {
        let settings = &self.settings;
        let mut properties = PropertiesBuf::new();
        if settings.version < Version::V5 {
            return properties;
        }
        if settings.session_expiry_secs != 0 {
            properties.push(Property::SessionExpiryInterval(settings.session_expiry_secs));
        }
        if settings.receive_maximum != u16::MAX {
            properties.push(Property::ReceiveMaximum(settings.receive_maximum));
        }
        properties.push(Property::MaximumPacketSize(settings.packet_size_max));
        if settings.topic_alias_maximum != 0 {
            properties.push(Property::TopicAliasMaximum(settings.topic_alias_maximum));
        }
        if let Some(authentication) = &settings.authentication {
            properties.push(Property::AuthenticationMethod(&authentication.method));
            if let Some(data) = &authentication.data {
                properties.push(Property::AuthenticationData(data));
            }
        }
        properties.extend_raw(settings.connect_properties.as_properties());
        properties
    }

    /// Writes one of the small packets that fit any server's limit.
    pub(super) fn write(&mut self, packet: &Packet<'_>) {
        let written = encode::packet(packet, self.settings.version, &mut self.output);
        debug_assert!(written.is_ok(), "packets without caller's data are valid");
    }

    /// Writes an acknowledgement. It never has a Reason String or User Properties, so that none can make it too large:
    /// PUBACK `[MQTT-3.4.2-2]` `[MQTT-3.4.2-3]`, PUBREC `[MQTT-3.5.2-2]` `[MQTT-3.5.2-3]`, PUBREL `[MQTT-3.6.2-2]`
    /// `[MQTT-3.6.2-3]`, PUBCOMP `[MQTT-3.7.2-2]` `[MQTT-3.7.2-3]`.
    pub(super) fn write_ack(&mut self, now_ms: u64, kind: AckKind, packet_id: PacketId, reason: ReasonCode) {
        encode::ack(kind, &Ack::new(packet_id, reason), self.settings.version, &mut self.output);
        self.sent(now_ms);
    }

    pub(super) fn write_disconnect(&mut self, reason: ReasonCode, properties: Properties<'_>) {
        if self.settings.version < Version::V5 {
            // Before 5.0 a DISCONNECT is always a normal one; anything else is a bare close.
            if reason == ReasonCode::Success {
                self.write(&Packet::Disconnect(Disconnect { reason, properties: Properties::EMPTY }));
            }
            return;
        }
        let may_have_expiry = |secs: u32| secs == 0 || self.settings.session_expiry_secs != 0;
        let expiry = properties.session_expiry_interval().filter(|&secs| may_have_expiry(secs));
        let bare: PropertiesBuf = expiry.map(Property::SessionExpiryInterval).into_iter().collect();
        let mut full = bare.clone();
        let is_text = |property: &Property<'_>| {
            matches!(property, Property::ReasonString(_) | Property::UserProperty(..))
        };
        full.extend(properties.iter().filter(is_text));
        let is_valid = decode::check_to_send(full.as_properties(), Holder::ClientDisconnect).is_ok();
        let with = |properties| Packet::Disconnect(Disconnect { reason, properties });
        // `[MQTT-3.14.2-3]`, `[MQTT-3.14.2-4]`: too large with its texts, so it goes without.
        let written = is_valid && self.write_within_limits(&with(full.as_properties()))
            || self.write_within_limits(&with(bare.as_properties()));
        if !written {
            self.write(&with(Properties::EMPTY));
        }
    }

    /// Writes an AUTH with the method of CONNECT `[MQTT-4.12.1-1]`, code 0x18 or 0x19 `[MQTT-3.15.2-1]`, and no texts
    /// that could make it too large `[MQTT-3.15.2-2]` `[MQTT-3.15.2-3]`.
    pub(super) fn write_auth(
        &mut self,
        now_ms: u64,
        reason: ReasonCode,
        data: Option<&[u8]>,
    ) -> Result<(), AuthenticateError> {
        let authentication = self.settings.authentication.as_ref().ok_or(AuthenticateError::NoMethod)?;
        if data.is_some_and(|data| data.len() > usize::from(u16::MAX)) {
            return Err(AuthenticateError::TooLarge);
        }
        let mut properties = PropertiesBuf::new();
        properties.push(Property::AuthenticationMethod(&authentication.method));
        if let Some(data) = data {
            properties.push(Property::AuthenticationData(data));
        }
        let packet = Packet::Auth(Auth { reason, properties: properties.as_properties() });
        if !self.write_within_limits(&packet) {
            return Err(AuthenticateError::TooLarge);
        }
        if let Phase::Greeting { deadline_ms, .. } = &mut self.phase {
            *deadline_ms = now_ms.saturating_add(self.settings.connack_timeout_ms);
        }
        self.sent(now_ms);
        Ok(())
    }

    /// Whether a request is one this version and server can take.
    pub(super) fn check_request(&self, request: &Request) -> Result<(), SubscribeError> {
        if let Phase::Online(link) = &self.phase
            && let Some(reason) = request.refused_by(&link.limits)
        {
            return Err(SubscribeError::NotSupported(reason));
        }
        let mut packet = Vec::new();
        let fits = request.encode(self.settings.version, &mut packet);
        if fits && packet.len() <= self.packet_size_max() { Ok(()) } else { Err(SubscribeError::TooLarge) }
    }

    pub(super) fn check_publication(&self, publication: &Publication<'_>) -> Result<(), PublishError> {
        if !super::is_topic_name(publication.topic) {
            return Err(PublishError::TopicName);
        }
        if !publication.properties.is_empty() {
            if self.settings.version < Version::V5 {
                return Err(PublishError::NeedsVersion5);
            }
            if !super::message_may_carry(publication.properties, Holder::ClientPublish) {
                return Err(PublishError::Property);
            }
            if !super::payload_fits(publication.payload, publication.properties) {
                return Err(PublishError::PayloadFormat);
            }
        }
        match &self.phase {
            Phase::Online(link) => check_limits(publication, &link.limits),
            _ => Ok(()),
        }
    }

    /// Whether a publication made now may pass straight to the output: nothing older waits, and the window has a
    /// place for it.
    pub(super) fn may_send_now(&self, qos: QoS) -> bool {
        self.is_online()
            && self.session.queue.is_empty()
            && self.output.len() < OUTPUT_SOFT_MAX
            && (qos == QoS::AtMostOnce || self.has_room())
    }

    /// Whether one more message may be opened: the server's window has a place `[MQTT-4.9.0-2]`, and a packet id is
    /// free. Requests take ids too, and so do messages released on an earlier connection, which are in no window.
    fn has_room(&self) -> bool {
        let ids_in_use = self.session.outgoing.len() + self.session.requests.len();
        self.session.outgoing.room() > 0 && ids_in_use < usize::from(u16::MAX)
    }

    /// Publishes what may pass straight to the output.
    pub(super) fn publish_now(
        &mut self,
        now_ms: u64,
        request: RequestId,
        publication: &Publication<'_>,
    ) -> Result<(), PublishError> {
        let start = self.output.len();
        match self.write_publish(now_ms, publication)? {
            None => self.done(request, Outcome::Acknowledged(ReasonCode::Success)),
            Some(id_place) => {
                let held = Box::new(Held::new(request, publication));
                self.open(start, id_place, publication.qos, held);
            }
        }
        Ok(())
    }

    /// Encodes all that may leave now: requests, which no window holds back `[MQTT-3.3.4-8]` `[MQTT-4.9.0-3]`, then
    /// what an earlier connection left in flight, then the queue. Stops when the output is full; the owner's next
    /// [`Client::swap_output`] goes on.
    pub(super) fn pump(&mut self, now_ms: u64) {
        while self.is_online()
            && self.output.len() < OUTPUT_SOFT_MAX
            && (self.send_request(now_ms) || self.send_again(now_ms) || self.send_queued(now_ms))
        {}
    }

    fn send_request(&mut self, now_ms: u64) -> bool {
        let Phase::Online(link) = &self.phase else { return false };
        let limits = link.limits;
        let Some(request) = self.session.requests.unsent() else { return false };
        let start = self.output.len();
        let refused = request.refused_by(&limits).or_else(|| {
            let written = request.encode(self.settings.version, &mut self.output);
            let fits = written && self.output.len() - start <= limits.packet_size_max as usize;
            (!fits).then_some(ReasonCode::PacketTooLarge)
        });
        let Some(reason) = refused else {
            request.sent = true;
            self.sent(now_ms);
            return true;
        };
        self.output.truncate(start);
        let packet_id = request.packet_id;
        if let Some(request) = self.session.requests.take(packet_id) {
            let codes = vec![reason; request.filters_len()];
            self.answered(&request, codes);
        }
        true
    }

    /// Sends the next message that an earlier connection left in flight, under its old id, with its topic in full and
    /// DUP set `[MQTT-4.4.0-1]` `[MQTT-3.3.1-1]`, or its PUBREL `[MQTT-4.3.3-6]`; in the original order
    /// `[MQTT-4.6.0-1]`. So it is before 5.0: `[MQTT-4.4.0-1 of 3.1.1]`, `[MQTT-3.3.1-1 of 3.1.1]`,
    /// `[MQTT-2.3.1-3 of 3.1.1]`, `[MQTT-4.6.0-1 of 3.1.1]`. A message that expired is sent like others
    /// `[MQTT-4.3.3-7]`. With a window smaller than before, they go out in portions `[U5-47]`.
    fn send_again(&mut self, now_ms: u64) -> bool {
        let Phase::Online(link) = &self.phase else { return false };
        let limits = link.limits;
        let Some((packet_id, stage)) = self.session.outgoing.resend() else { return false };
        let Stage::Publish(held) = stage else {
            self.write_ack(now_ms, AckKind::PubRel, packet_id, ReasonCode::Success);
            return true;
        };
        let publication = held.publication();
        let publish = publication.packet(Some(packet_id), true);
        let sent = check_limits(&publication, &limits)
            .and_then(|()| append_publish(&publish, self.settings.version, &limits, &mut self.output));
        match sent {
            Ok(_) => self.sent(now_ms),
            Err(error) => self.give_up(packet_id, error.reason()),
        }
        true
    }

    /// A message in flight that this server announced it would not take: the hand-shake ends on our side.
    fn give_up(&mut self, packet_id: PacketId, reason: ReasonCode) {
        let outgoing = &mut self.session.outgoing;
        if let Ok(held) = outgoing.puback(packet_id).or_else(|_| outgoing.pubrec_refused(packet_id)) {
            self.done(held.request, Outcome::Unsendable(reason));
        }
    }

    fn send_queued(&mut self, now_ms: u64) -> bool {
        let Phase::Online(link) = &self.phase else { return false };
        let limits = link.limits;
        let room = self.has_room();
        let Some(held) =
            self.session.queue.pop_front_if(|held| held.publication().qos == QoS::AtMostOnce || room)
        else {
            return false;
        };
        let start = self.output.len();
        let publication = held.publication();
        let (request, qos) = (held.request, publication.qos);
        let written =
            check_limits(&publication, &limits).and_then(|()| self.write_publish(now_ms, &publication));
        match written {
            Err(error) => self.done(request, Outcome::Unsendable(error.reason())),
            Ok(None) => self.done(request, Outcome::Acknowledged(ReasonCode::Success)),
            Ok(Some(id_place)) => self.open(start, id_place, qos, held),
        }
        true
    }

    /// Opens the hand-shake of a PUBLISH that is in the output already, and gives the packet its id: one that nothing
    /// else uses `[MQTT-4.3.2-1]` `[MQTT-4.3.3-1]` `[MQTT-4.3.2-1 of 3.1.1]` `[MQTT-4.3.3-1 of 3.1.1]`.
    fn open(&mut self, start: usize, id_place: usize, qos: QoS, held: Box<Held>) {
        let requests = &self.session.requests;
        let packet_id = self.session.outgoing.open_except(qos, held, |id| requests.uses(id));
        debug_assert!(packet_id.is_some(), "there is room only while an id is free");
        match packet_id {
            Some(packet_id) => {
                self.output[id_place..id_place + 2].copy_from_slice(&packet_id.get().to_be_bytes());
            }
            None => self.output.truncate(start),
        }
    }

    /// Writes a PUBLISH for the first time, so with DUP 0, wherever the message came from `[MQTT-4.3.1-1]`
    /// `[MQTT-4.3.2-2]` `[MQTT-4.3.3-2]` `[MQTT-3.3.1-3]` `[MQTT-4.3.1-1 of 3.1.1]` `[MQTT-3.3.1-3 of 3.1.1]`, and with
    /// an alias where that pays. Its packet id, whose place in the output is returned, is still to be filled in.
    fn write_publish(
        &mut self,
        now_ms: u64,
        publication: &Publication<'_>,
    ) -> Result<Option<usize>, PublishError> {
        let Phase::Online(link) = &mut self.phase else { return Ok(None) };
        let packet_id = (publication.qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let plain = publication.packet(packet_id, false);
        let spelling = link.aliases_out.spell(publication.topic);
        let (Spelling::Define(alias) | Spelling::Short(alias)) = spelling else {
            let place = append_publish(&plain, self.settings.version, &link.limits, &mut self.output)?;
            self.sent(now_ms);
            return Ok(place);
        };
        let mut properties = PropertiesBuf::new();
        properties.push(Property::TopicAlias(alias.get()));
        properties.extend_raw(publication.properties);
        let topic = if matches!(spelling, Spelling::Short(_)) { "" } else { publication.topic };
        let aliased = Publish { topic, properties: properties.as_properties(), ..plain };
        let place = match append_publish(&aliased, self.settings.version, &link.limits, &mut self.output) {
            Ok(place) => {
                link.aliases_out.sent(publication.topic, spelling);
                place
            }
            // The definition may be what makes it too large.
            Err(_) => append_publish(&plain, self.settings.version, &link.limits, &mut self.output)?,
        };
        self.sent(now_ms);
        Ok(place)
    }

    /// The server has no session: asks for every subscription again, before the requests that wait, which may change or
    /// end what is renewed.
    pub(super) fn renew_subscriptions(&mut self, limits: &Limits) {
        let bytes_max = RENEWAL_BYTES_MAX.min(limits.packet_size_max as usize / 2);
        let mut place = 0;
        for (filters, properties) in self.session.subscriptions.renewals(bytes_max) {
            let (lost, filters): (Vec<_>, Vec<_>) = filters
                .into_iter()
                .partition(|(filter, _)| request::filter_refused_by(filter, limits).is_some());
            for (filter, _) in lost {
                let reason = request::filter_refused_by(&filter, limits);
                self.subscription_lost(&filter, reason.unwrap_or(ReasonCode::UnspecifiedError));
            }
            let Some(packet_id) = self.session.free_packet_id().filter(|_| !filters.is_empty()) else {
                continue;
            };
            let wish = Wish::Subscribe(filters);
            let renewal = Request { caller: None, packet_id, properties, wish, sent: false };
            self.session.requests.insert(place, renewal);
            place += 1;
        }
    }

    fn write_within_limits(&mut self, packet: &Packet<'_>) -> bool {
        let start = self.output.len();
        let written = encode::packet(packet, self.settings.version, &mut self.output);
        let fits = written.is_ok() && self.output.len() - start <= self.packet_size_max();
        if !fits {
            self.output.truncate(start);
        }
        fits
    }

    fn packet_size_max(&self) -> usize {
        match &self.phase {
            Phase::Online(link) => link.limits.packet_size_max as usize,
            _ => usize::MAX,
        }
    }

    fn done(&mut self, request: RequestId, outcome: Outcome) {
        self.events.push_back(Event::Published { request, outcome });
    }

    /// Something was written: the keep-alive starts afresh.
    fn sent(&mut self, now_ms: u64) {
        if let Phase::Online(link) = &mut self.phase {
            link.keep_alive.sent(now_ms);
        }
    }
}

/// `[MQTT-3.2.2-11]`, `[MQTT-3.2.2-14]`.
fn check_limits(publication: &Publication<'_>, limits: &Limits) -> Result<(), PublishError> {
    if publication.qos > limits.qos_max {
        Err(PublishError::QoSNotSupported)
    } else if publication.retain && !limits.retain_available {
        Err(PublishError::RetainNotSupported)
    } else {
        Ok(())
    }
}

/// Appends a PUBLISH that the server takes, and tells where its packet id is; or leaves `output` as it was.
fn append_publish(
    publish: &Publish<'_>,
    version: Version,
    limits: &Limits,
    output: &mut Vec<u8>,
) -> Result<Option<usize>, PublishError> {
    let start = output.len();
    match encode::publish(publish, version, output) {
        Ok(id_place) if output.len() - start <= limits.packet_size_max as usize => Ok(id_place),
        _ => {
            output.truncate(start);
            Err(PublishError::TooLarge)
        }
    }
}

/// Whether a SUBSCRIBE or UNSUBSCRIBE may carry these: User Properties, and a Subscription Identifier that is not 0 in
/// SUBSCRIBE `[U5-26]`.
pub(super) fn check_request_properties(
    wish: &Wish,
    properties: Properties<'_>,
    version: Version,
) -> Result<(), SubscribeError> {
    if properties.is_empty() {
        return Ok(());
    }
    if version < Version::V5 {
        return Err(SubscribeError::NeedsVersion5);
    }
    let holder = match wish {
        Wish::Subscribe(_) => Holder::Subscribe,
        Wish::Unsubscribe(_) => Holder::Unsubscribe,
    };
    decode::check_to_send(properties, holder).map_err(|_| SubscribeError::Property)
}
