//! Packets from the server: what each one means to the client, and what it is answered.
//!
//! Neighbours: `super` holds the state, [`super::outbound`] writes. A message is acknowledged when its owner says so,
//! by its [`Receipt`]; owners that do so in order keep `[MQTT-4.6.0-2]` and `[MQTT-4.6.0-3]` (and
//! `[MQTT-4.6.0-2 of 3.1.1]`, `[MQTT-4.6.0-3 of 3.1.1]`). Everything else is answered in the order in which it came
//! `[MQTT-4.6.0-4]` `[MQTT-4.6.0-4 of 3.1.1]`. Whatever breaks a rule ends the connection by [`Client::violation`],
//! with the number of the statement.

use super::alias::AliasFault;
use super::event::{Cause, Connected, Event, Limits, Outcome, Refusal, RequestId};
use super::link::{Dialogue, KeepAlive, Link};
use super::request::{Request, Wish};
use super::{Client, Phase, Receipt, Received};
use crate::Packet;
use crate::decode::{self, Decoded};
use crate::encode::AckKind;
use crate::packet::{
    Ack, Auth, ConnAck, Disconnect, PacketId, PacketType, Publish, QoS, SubAck, SubscribeOptions, Version,
};
use crate::property::{Properties, PropertiesBuf};
use crate::reason::{ReasonCode, Sender};
use crate::transfer::AckFault;

/// Bytes of the largest packet that a client has to be able to send at any time: an acknowledgement with a code.
const ANSWER_BYTES: u32 = 5;

impl Client {
    /// Handles the first packet in `bytes`. The owner calls it again with the rest, until it says
    /// [`Received::Incomplete`], and drains the events after each call.
    pub fn receive<'a>(&'a mut self, now_ms: u64, bytes: &'a [u8]) -> Received<'a> {
        match &mut self.phase {
            Phase::Offline | Phase::Over => return Received::Closed,
            Phase::Online(link) if !bytes.is_empty() => link.keep_alive.received(now_ms),
            _ => {}
        }
        let (packet, consumed) = match decode::packet(bytes, &self.rules()) {
            Ok(Decoded::Packet(packet, consumed)) => (packet, consumed),
            Ok(Decoded::Incomplete { needed }) => return Received::Incomplete { needed },
            Err(error) => {
                self.violation(error.reason, error.statement, error.what);
                return Received::Closed;
            }
        };
        match packet {
            Packet::Publish(publish) if self.is_online() => {
                let Ok(receipt) = self.on_publish(now_ms, &publish) else {
                    return Received::Packet { consumed };
                };
                let message = self.with_topic(publish);
                Received::Message { consumed, message, receipt }
            }
            other => {
                self.on_other(now_ms, &other);
                Received::Packet { consumed }
            }
        }
    }

    /// Everything but a message on a live connection.
    fn on_other(&mut self, now_ms: u64, packet: &Packet<'_>) {
        match (&self.phase, packet) {
            (Phase::Greeting { .. }, Packet::ConnAck(connack)) => self.on_connack(now_ms, connack),
            (_, Packet::Auth(auth)) => self.on_auth(auth),
            (Phase::Greeting { .. }, _) => {
                let what = "a packet other than CONNACK or AUTH before the connection was accepted";
                self.violation(ReasonCode::ProtocolError, "MQTT-3.2.0-1", what);
            }
            (_, Packet::ConnAck(_)) => {
                self.violation(ReasonCode::ProtocolError, "MQTT-3.2.0-2", "a second CONNACK");
            }
            (_, Packet::PubAck(ack)) => self.on_puback(now_ms, ack),
            (_, Packet::PubRec(ack)) => self.on_pubrec(now_ms, ack),
            (_, Packet::PubRel(ack)) => self.on_pubrel(now_ms, ack.packet_id),
            (_, Packet::PubComp(ack)) => self.on_pubcomp(now_ms, ack.packet_id),
            (_, Packet::SubAck(ack)) => self.on_answer(now_ms, ack, true),
            (_, Packet::UnsubAck(ack)) => self.on_answer(now_ms, ack, false),
            (_, Packet::PingResp) => {
                if let Phase::Online(link) = &mut self.phase {
                    link.keep_alive.answered();
                }
            }
            (_, Packet::Disconnect(disconnect)) => self.on_disconnect(disconnect),
            _ => {
                let what = "a packet that only clients send";
                self.violation(ReasonCode::ProtocolError, "MQTT-4.13.1-1", what);
            }
        }
    }

    fn on_connack(&mut self, now_ms: u64, connack: &ConnAck<'_>) {
        if connack.reason != ReasonCode::Success {
            return self.over(Cause::Refused(refusal(connack.reason, connack.properties)));
        }
        if connack.properties.authentication_method() != self.method() {
            let what = "a CONNACK with another authentication method than CONNECT";
            return self.violation(ReasonCode::ProtocolError, "MQTT-4.12.0-5", what);
        }
        // A clean start has no session to find [MQTT-3.2.2-4].
        let clean_start = self.starts_clean();
        if connack.session_present && clean_start {
            let what = "Session Present although the client has no session";
            return self.violation(ReasonCode::ProtocolError, "MQTT-3.2.2-4", what);
        }
        if let Some(assigned) = connack.properties.assigned_client_identifier() {
            assigned.clone_into(&mut self.id);
        }
        // Nothing larger may be sent `[MQTT-3.2.2-15]`, so that such a server could never be answered.
        let limits = Limits::of(connack);
        if limits.packet_size_max < ANSWER_BYTES {
            let what = "a Maximum Packet Size in which no acknowledgement fits";
            return self.violation(ReasonCode::PacketTooLarge, "", what);
        }
        // The server's word counts [MQTT-3.1.2-21] [MQTT-3.2.2-21].
        let keep_alive_secs = connack.properties.server_keep_alive().unwrap_or(self.settings.keep_alive_secs);
        let keep_alive = KeepAlive::new(keep_alive_secs, self.settings.ping_timeout_ms, now_ms);

        // 3.1 has no Session Present; sending again under the old ids is right whatever the server remembers.
        let resumed = connack.session_present || (self.settings.version == Version::V31 && !clean_start);
        if !resumed {
            self.lose_session();
        }
        self.session.exists = true;
        let window = limits.receive_maximum.min(self.settings.in_flight_max);
        self.session.outgoing.start(window);
        self.phase = Phase::Online(Box::new(Link::new(&self.settings, limits, keep_alive)));

        let mut properties = PropertiesBuf::new();
        properties.extend_raw(connack.properties);
        self.events.push_back(Event::Connected(Box::new(Connected {
            session_present: connack.session_present,
            client_id: self.id.clone(),
            keep_alive_secs,
            limits,
            properties,
        })));
        if !connack.session_present {
            self.renew_subscriptions(&limits);
        }
        self.pump(now_ms);
    }

    /// The server has no session of ours `[MQTT-3.2.2-5]` `[MQTT-3.1.2-6 of 3.1.1]`.
    fn lose_session(&mut self) {
        for request in self.session.lose() {
            self.events.push_back(Event::Published { request, outcome: Outcome::SessionLost });
        }
    }

    /// AUTH, which only a client with a method gets `[U5-42]`: a challenge, or the good end of a re-authentication.
    fn on_auth(&mut self, auth: &Auth<'_>) {
        let method = self.method();
        if method.is_none() {
            let what = "AUTH although CONNECT named no authentication method";
            return self.violation(ReasonCode::ProtocolError, "U5-42", what);
        }
        if auth.properties.authentication_method() != method {
            let what = "AUTH with another authentication method than CONNECT";
            return self.violation(ReasonCode::ProtocolError, "MQTT-4.12.0-5", what);
        }
        let data = auth.properties.authentication_data().unwrap_or_default().to_vec();
        match (&mut self.phase, auth.reason) {
            (Phase::Greeting { challenged, .. }, ReasonCode::ContinueAuthentication) if !*challenged => {
                *challenged = true;
                self.events.push_back(Event::Challenge { data });
            }
            (Phase::Online(link), ReasonCode::ContinueAuthentication) if link.dialogue == Dialogue::Asked => {
                link.dialogue = Dialogue::Challenged;
                self.events.push_back(Event::Challenge { data });
            }
            (Phase::Online(link), ReasonCode::Success) if link.dialogue == Dialogue::Asked => {
                link.dialogue = Dialogue::None;
                self.events.push_back(Event::ReAuthenticated { data });
            }
            _ => {
                let what = "AUTH that nothing had asked for";
                self.violation(ReasonCode::ProtocolError, "MQTT-3.15.2-1", what);
            }
        }
    }

    /// The owner has taken over the message of this receipt: PUBACK or PUBREC `[MQTT-3.3.4-1]`
    /// `[MQTT-3.3.4-1 of 3.1.1]` with its id `[MQTT-2.2.1-5]` `[MQTT-2.3.1-6 of 3.1.1]`, and not before
    /// `[MQTT-4.3.2-4]` `[MQTT-4.3.3-8]`. Without effect if its connection is gone and the server did not send the
    /// message again.
    #[allow(clippy::needless_pass_by_value, reason = "a receipt is good for once")]
    pub fn acknowledge(&mut self, now_ms: u64, receipt: Receipt) {
        let Receipt { packet_id, qos, serial, connection } = receipt;
        let is_present = connection == self.connections;
        if qos == QoS::ExactlyOnce {
            if self.session.untaken.get(&packet_id) != Some(&serial) {
                return;
            }
            self.session.untaken.remove(&packet_id);
        }
        let Phase::Online(link) = &mut self.phase else { return };
        let is_repeated = link.repeated.remove(&packet_id);
        match qos {
            QoS::AtLeastOnce if is_present => {
                link.receiving = link.receiving.saturating_sub(1);
                self.write_ack(now_ms, AckKind::PubAck, packet_id, ReasonCode::Success);
            }
            QoS::ExactlyOnce if is_present || is_repeated => {
                self.write_ack(now_ms, AckKind::PubRec, packet_id, ReasonCode::Success);
            }
            _ => {}
        }
    }

    /// The owner will never take over the message of this receipt. It keeps its place in the server's window; if the server
    /// sends it again, on a later connection, it is handed out again.
    #[allow(clippy::needless_pass_by_value, reason = "a receipt is good for once")]
    pub fn leave(&mut self, receipt: Receipt) {
        let Receipt { packet_id, serial, .. } = receipt;
        if self.session.untaken.get(&packet_id) == Some(&serial) {
            self.session.untaken.remove(&packet_id);
            self.session.incoming.release(packet_id);
        }
    }

    /// Decides whether a message is for the owner. `Err` means it is not: a repeat, or the end of the connection. An id
    /// of QoS 1 is not remembered, so that it is new when it comes again `[MQTT-4.3.2-5]` `[MQTT-4.3.2-2 of 3.1.1]`.
    fn on_publish(&mut self, now_ms: u64, publish: &Publish<'_>) -> Result<Option<Receipt>, ()> {
        self.resolve_alias(publish)?;
        let Some(packet_id) = publish.packet_id else { return Ok(None) };
        let is_known = self.session.incoming.contains(packet_id);
        if is_known && publish.qos == QoS::ExactlyOnce {
            self.on_repeat(now_ms, packet_id);
            return Err(());
        }
        if is_known {
            let what = "a QoS 1 message under the packet id of an open QoS 2 one";
            self.violation(ReasonCode::ProtocolError, "MQTT-2.2.1-4", what);
            return Err(());
        }
        self.take_place()?;
        self.messages_received += 1;
        let serial = self.messages_received;
        if publish.qos == QoS::ExactlyOnce {
            self.session.incoming.receive(packet_id);
            self.session.untaken.insert(packet_id, serial);
        }
        Ok(Some(Receipt { packet_id, qos: publish.qos, serial, connection: self.connections }))
    }

    /// A repeat before PUBREL gets its PUBREC and is not delivered again `[MQTT-4.3.3-10]` `[MQTT-4.3.3-2 of 3.1.1]`;
    /// but not before the owner took over what was delivered.
    fn on_repeat(&mut self, now_ms: u64, packet_id: PacketId) {
        if !self.session.untaken.contains_key(&packet_id) {
            self.write_ack(now_ms, AckKind::PubRec, packet_id, ReasonCode::Success);
        } else if let Phase::Online(link) = &mut self.phase {
            link.repeated.insert(packet_id);
        }
    }

    /// Counts one more open message of the server, which may have as many as the Receive Maximum `[U5-48]`.
    fn take_place(&mut self) -> Result<(), ()> {
        let Phase::Online(link) = &mut self.phase else { return Err(()) };
        if self.settings.version == Version::V5 && link.receiving >= self.settings.receive_maximum {
            let what = "more messages at a time than the Receive Maximum";
            self.violation(ReasonCode::ReceiveMaximumExceeded, "MQTT-3.3.4-9", what);
            return Err(());
        }
        link.receiving = link.receiving.saturating_add(1);
        Ok(())
    }

    /// Learns or checks the alias of a message; `Err` if that ended the connection.
    fn resolve_alias(&mut self, publish: &Publish<'_>) -> Result<(), ()> {
        let alias = publish.properties.topic_alias();
        let Phase::Online(link) = &mut self.phase else { return Err(()) };
        let fault = match alias {
            Some(alias) => link.aliases_in.apply(alias, self.settings.topic_alias_maximum, publish.topic),
            None if publish.topic.is_empty() => Err(AliasFault::Unknown),
            None => Ok(()),
        };
        match fault {
            Ok(()) => Ok(()),
            Err(AliasFault::OutOfRange) => {
                let what = "a topic alias above the Topic Alias Maximum";
                self.violation(ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-11", what);
                Err(())
            }
            Err(AliasFault::Unknown) => {
                let what = "a message whose topic is neither written nor known by an alias";
                self.violation(ReasonCode::ProtocolError, "U5-23", what);
                Err(())
            }
        }
    }

    /// The message with its topic spelled out. The alias was checked before.
    fn with_topic<'a>(&'a self, publish: Publish<'a>) -> Publish<'a> {
        match (&self.phase, publish.properties.topic_alias()) {
            (Phase::Online(link), Some(alias)) if publish.topic.is_empty() => {
                Publish { topic: link.aliases_in.topic(alias).unwrap_or(""), ..publish }
            }
            _ => publish,
        }
    }

    fn on_puback(&mut self, now_ms: u64, ack: &Ack<'_>) {
        match self.session.outgoing.puback(ack.packet_id) {
            Ok(held) => self.published(now_ms, held.request, ack.reason),
            Err(AckFault::UnknownId) => {}
            Err(AckFault::WrongStage) => {
                let what = "PUBACK for a QoS 2 message";
                self.violation(ReasonCode::ProtocolError, "MQTT-4.3.3-3", what);
            }
        }
    }

    /// PUBREC: answered by PUBREL under the same id `[MQTT-4.3.3-4]`, unless it is a refusal, which frees the id
    /// `[MQTT-4.3.3-9]`. PUBREL has code 0x00 or 0x92 `[MQTT-3.6.2-1]`.
    fn on_pubrec(&mut self, now_ms: u64, ack: &Ack<'_>) {
        let packet_id = ack.packet_id;
        if ack.reason.is_error() {
            match self.session.outgoing.pubrec_refused(packet_id) {
                Ok(held) => self.published(now_ms, held.request, ack.reason),
                Err(AckFault::UnknownId) => {}
                Err(AckFault::WrongStage) => self.wrong_pubrec(),
            }
            return;
        }
        match self.session.outgoing.pubrec(packet_id) {
            Ok(held) => {
                self.session.released.insert(packet_id, held.request);
                self.write_ack(now_ms, AckKind::PubRel, packet_id, ReasonCode::Success);
            }
            // A repeat, which 3.1 allows by timer: the PUBREL it waits for goes out again.
            Err(AckFault::WrongStage) if self.session.released.contains_key(&packet_id) => {
                self.write_ack(now_ms, AckKind::PubRel, packet_id, ReasonCode::Success);
            }
            Err(AckFault::WrongStage) => self.wrong_pubrec(),
            Err(AckFault::UnknownId) => {
                let reason = ReasonCode::PacketIdentifierNotFound;
                self.write_ack(now_ms, AckKind::PubRel, packet_id, reason);
            }
        }
    }

    fn wrong_pubrec(&mut self) {
        let what = "PUBREC for a QoS 1 message, or a refusal after the message was taken";
        self.violation(ReasonCode::ProtocolError, "MQTT-4.3.2-3", what);
    }

    /// PUBREL: answered by PUBCOMP under the same id `[MQTT-4.3.3-11]`, with code 0x00 or 0x92 `[MQTT-3.7.2-1]`,
    /// however long the message may have expired `[MQTT-4.3.3-13]`. From now on the id is new `[MQTT-4.3.3-12]`.
    fn on_pubrel(&mut self, now_ms: u64, packet_id: PacketId) {
        let known = self.session.incoming.release(packet_id);
        self.session.untaken.remove(&packet_id);
        if let Phase::Online(link) = &mut self.phase
            && known
        {
            link.receiving = link.receiving.saturating_sub(1);
        }
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.write_ack(now_ms, AckKind::PubComp, packet_id, reason);
    }

    fn on_pubcomp(&mut self, now_ms: u64, packet_id: PacketId) {
        match self.session.outgoing.pubcomp(packet_id) {
            Ok(()) => {
                if let Some(request) = self.session.released.remove(&packet_id) {
                    self.published(now_ms, request, ReasonCode::Success);
                }
            }
            Err(AckFault::UnknownId) => {}
            Err(AckFault::WrongStage) => {
                let what = "PUBCOMP for a message without PUBREL";
                self.violation(ReasonCode::ProtocolError, "MQTT-4.3.3-5", what);
            }
        }
    }

    /// A message has come to its end, and its place in the window is free `[U5-46]`.
    fn published(&mut self, now_ms: u64, request: RequestId, reason: ReasonCode) {
        let outcome =
            if reason.is_error() { Outcome::Refused(reason) } else { Outcome::Acknowledged(reason) };
        self.events.push_back(Event::Published { request, outcome });
        self.pump(now_ms);
    }

    /// SUBACK, or UNSUBACK.
    fn on_answer(&mut self, now_ms: u64, ack: &SubAck<'_>, subscribe: bool) {
        let Some(request) = self.session.requests.awaiting(ack.packet_id) else {
            let what = "SUBACK or UNSUBACK that no request is waiting for";
            return self.violation(ReasonCode::ProtocolError, "MQTT-2.2.1-6", what);
        };
        let mut codes: Vec<ReasonCode> = ack.codes().collect();
        if !subscribe && self.settings.version < Version::V5 {
            codes = vec![ReasonCode::Success; request.filters_len()];
        }
        if subscribe != matches!(request.wish, Wish::Subscribe(_)) || codes.len() != request.filters_len() {
            let what = "SUBACK or UNSUBACK that does not fit its request";
            return self.violation(ReasonCode::ProtocolError, "MQTT-3.8.4-6", what);
        }
        if let Some(request) = self.session.requests.take(ack.packet_id) {
            self.answered(&request, codes);
        }
        self.pump(now_ms);
    }

    /// Tells the owner about an answer, and remembers what was granted.
    pub(super) fn answered(&mut self, request: &Request, codes: Vec<ReasonCode>) {
        match &request.wish {
            Wish::Subscribe(filters) => {
                for ((filter, options), code) in filters.iter().zip(&codes) {
                    self.granted(request, filter, *options, *code);
                }
                if let Some(request) = request.caller {
                    self.events.push_back(Event::Subscribed { request, codes });
                }
            }
            Wish::Unsubscribe(filters) => {
                for (filter, _) in filters.iter().zip(&codes).filter(|(_, code)| !code.is_error()) {
                    self.session.subscriptions.forget(filter);
                }
                if let Some(request) = request.caller {
                    self.events.push_back(Event::Unsubscribed { request, codes });
                }
            }
        }
    }

    fn granted(&mut self, request: &Request, filter: &str, options: SubscribeOptions, code: ReasonCode) {
        if !code.is_error() {
            let properties = request.properties.as_properties();
            let maximum = self.settings.subscriptions_max;
            self.session.subscriptions.grant(filter, options, properties, maximum);
        } else if request.caller.is_none() {
            self.subscription_lost(filter, code);
        }
    }

    /// A renewal failed.
    pub(super) fn subscription_lost(&mut self, filter: &str, reason: ReasonCode) {
        self.session.subscriptions.forget(filter);
        self.events.push_back(Event::SubscriptionLost { filter: filter.to_owned(), reason });
    }

    /// DISCONNECT: the client closes, even if the server does not `[U5-41]`.
    fn on_disconnect(&mut self, disconnect: &Disconnect<'_>) {
        if self.settings.version < Version::V5 {
            let what = "DISCONNECT from a server, which 5.0 introduced";
            return self.violation(ReasonCode::ProtocolError, "MQTT-3.14.0-1", what);
        }
        if disconnect.properties.session_expiry_interval().is_some() {
            let what = "a Session Expiry Interval in the server's DISCONNECT";
            return self.violation(ReasonCode::ProtocolError, "MQTT-3.14.2-2", what);
        }
        self.over(Cause::ByServer(refusal(disconnect.reason, disconnect.properties)));
    }

    /// The server broke a rule: says so, in 5.0 and once accepted, and ends the connection
    /// `[MQTT-4.8.0-1 of 3.1.1]`.
    pub(super) fn violation(&mut self, reason: ReasonCode, statement: &'static str, what: &'static str) {
        let reason = code_for_disconnect(reason);
        if self.settings.version == Version::V5 && self.is_online() {
            self.write_disconnect(reason, Properties::EMPTY);
        }
        self.over(Cause::Violation { reason, statement, what });
    }

    fn method(&self) -> Option<&str> {
        self.settings.authentication.as_ref().map(|authentication| authentication.method.as_str())
    }
}

fn refusal(reason: ReasonCode, properties: Properties<'_>) -> Refusal {
    Refusal {
        reason,
        text: properties.reason_string().map(str::to_owned),
        server_reference: properties.server_reference().map(str::to_owned),
    }
}

/// The codes of errors a client may name in DISCONNECT `[MQTT-3.14.2-1]`; others are protocol errors.
fn code_for_disconnect(reason: ReasonCode) -> ReasonCode {
    if reason.is_error() && reason.allowed_in(PacketType::Disconnect, Sender::Client) {
        reason
    } else {
        ReasonCode::ProtocolError
    }
}
