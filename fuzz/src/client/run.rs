//! One run: does the operations, moves the bytes between client and server, and checks after each step.

use longwire_proto::client::{Cause, Client, Event, Receipt, Received, Settings};
use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::packet::Version;

use super::owner::Owner;
use super::server::{Delivery, Server};
use super::{Script, operation};
use crate::Outcome;

pub(super) struct Run {
    pub(super) client: Client,
    pub(super) server: Server,
    pub(super) owner: Owner,
    pub(super) now_ms: u64,
    pub(super) receipts: Vec<(Receipt, Delivery)>,
    /// Messages of the server, counted.
    pub(super) sent: u32,
    /// What was seen, as bits.
    features: u64,
}

impl Run {
    pub(super) fn new(settings: Settings) -> Self {
        let client = Client::new(settings.clone()).expect("these settings are valid");
        Run {
            client,
            server: Server::new(settings),
            owner: Owner::default(),
            now_ms: 0,
            receipts: Vec::new(),
            sent: 0,
            features: 0,
        }
    }

    pub(super) fn feature(&mut self, number: u32) {
        self.features |= 1 << (number % 64);
    }

    pub(super) fn is_v5(&self) -> bool {
        self.server.settings.version == Version::V5
    }

    /// Does the next operation of the script.
    pub(super) fn step(&mut self, script: &mut Script<'_>) {
        let operation = script.byte() % operation::COUNT;
        match operation {
            operation::CONNECT => self.connect(),
            operation::ACCEPT => self.accept(script.byte(), script.byte()),
            operation::PUBLISH => self.publish(script.byte(), script.byte()),
            operation::ANSWER => self.answer(script.byte()),
            operation::MESSAGE => self.message(script.byte(), script.byte()),
            operation::ACKNOWLEDGE => self.acknowledge(script.byte()),
            operation::CLOSE => self.close(),
            operation::SUBSCRIBE => self.subscribe(script.byte(), script.byte()),
            operation::UNSUBSCRIBE => self.unsubscribe(script.byte()),
            operation::WAIT => self.wait(script.byte()),
            operation::ANY_ACK => self.any_ack(script.byte(), script.byte(), script.byte()),
            operation::ANY_ANSWER => self.any_answer(script.byte(), script.byte(), script.byte()),
            operation::RAW => {
                let len = usize::from(script.byte() % 64);
                self.feed(script.bytes(len));
            }
            operation::OTHER => self.other(script.byte()),
            operation::DISCONNECT => self.disconnect(script.byte(), script.byte()),
            operation::HOLD => self.client.hold_reading(self.now_ms, script.byte() & 1 != 0),
            operation::AUTHENTICATE => self.authenticate(script.byte()),
            operation::REFUSE => self.refuse(script.byte()),
            _ => self.write(),
        }
        self.check();
    }

    /// What holds after every operation.
    pub(super) fn check(&mut self) {
        self.drain();
        let unfinished = self.client.unfinished_len();
        assert_eq!(self.owner.publications.len(), unfinished, "every publication ends, and ends once");
        if let Some(keep_alive_ms) = self.server.keep_alive_ms().filter(|_| self.client.is_online()) {
            let deadline = self.client.next_deadline();
            assert!(deadline.is_some_and(|at| at <= self.now_ms + keep_alive_ms), "{deadline:?} is too late");
        }
    }

    // Bytes of both directions.

    /// Bytes come from the server. Before that, the server has what the client wrote.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            self.drain();
            self.write();
            let Some(consumed) = self.feed_packet(rest) else { break };
            rest = &rest[consumed..];
        }
        self.drain();
        self.write();
    }

    /// The client reads one packet; `None` if there is none for it.
    fn feed_packet(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.server.is_heard() {
            assert_eq!(self.client.receive(self.now_ms, bytes), Received::Closed);
            return None;
        }
        let rules = Rules {
            version: self.server.settings.version,
            receiver: Receiver::Client,
            packet_size_max: self.server.settings.packet_size_max,
            strict_text: false,
        };
        let (packet, len) = match decode::packet(bytes, &rules) {
            Ok(Decoded::Packet(packet, len)) => (packet, len),
            Ok(Decoded::Incomplete { needed }) => {
                assert_eq!(self.client.receive(self.now_ms, bytes), Received::Incomplete { needed });
                return None;
            }
            Err(_) => {
                self.server.is_fair = false;
                assert_eq!(self.client.receive(self.now_ms, bytes), Received::Closed);
                return None;
            }
        };
        let half = self.client.receive(self.now_ms, &bytes[..len / 2]);
        assert!(matches!(half, Received::Incomplete { .. }), "half of a packet is none: {half:?}");
        self.feature(32 + packet.packet_type() as u32);
        let expected = self.server.sends(&packet);
        let got = match self.client.receive(self.now_ms, bytes) {
            Received::Packet { consumed } => {
                assert_eq!(consumed, len);
                None
            }
            Received::Message { consumed, message, receipt } => {
                assert_eq!(consumed, len);
                Some((message.topic.to_owned(), message.payload.to_vec(), receipt))
            }
            other => panic!("a whole packet is {other:?}"),
        };
        if self.client.is_online() {
            self.server.accepted(&packet);
        }
        let is_delivered = got.is_some();
        if let Some((topic, payload, receipt)) = got {
            let delivery = expected.expect("a message that may be delivered");
            assert_eq!((&*topic, &*payload), (delivery.topic.as_str(), delivery.payload.as_slice()));
            assert_eq!(receipt.is_some(), delivery.packet_id.is_some());
            self.server.delivered(&delivery);
            self.receipts.extend(receipt.map(|receipt| (receipt, delivery)));
        } else if expected.is_some() && self.client.is_online() {
            panic!("a message is delivered, or ends the connection");
        }
        self.feature(48 + u32::from(is_delivered));
        Some(len)
    }

    /// The owner looks at what happened.
    pub(super) fn drain(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Published { request, outcome } => {
                    let kind = self.owner.ended(request, outcome, &mut self.server);
                    self.feature(50 + kind);
                }
                Event::Subscribed { request, codes } => self.owner.answered(request, true, codes.len()),
                Event::Unsubscribed { request, codes } => self.owner.answered(request, false, codes.len()),
                Event::Closed(cause) => {
                    let is_violation = matches!(cause, Cause::Violation { .. });
                    assert!(!is_violation || !self.server.is_fair, "the server did nothing wrong: {cause}");
                    self.feature(56 + u32::from(is_violation));
                    self.last_words();
                }
                Event::Connected(connected) => self.server.check_understood(&connected),
                Event::SubscriptionLost { .. } => self.feature(58),
                Event::Challenge { .. } => self.feature(59),
                Event::ReAuthenticated { .. } => self.feature(60),
            }
        }
    }

    /// The server gets all that the client wants to write.
    pub(super) fn write(&mut self) {
        self.drain();
        let mut output = Vec::new();
        while !self.client.output().is_empty() {
            self.client.swap_output(self.now_ms, &mut output);
            self.drain();
            self.server.reads(&output);
        }
        if self.client.is_online() {
            self.server.check_answered();
        }
    }

    /// The connection is over: the server gets what was written before, and nothing more.
    fn last_words(&mut self) {
        let mut output = Vec::new();
        self.client.swap_output(self.now_ms, &mut output);
        self.server.reads(&output);
        assert!(self.client.output().is_empty(), "nothing is written after the end");
        self.server.left();
    }

    /// A patient server takes up the session and answers everything.
    pub(super) fn finish(mut self) -> Outcome {
        self.close();
        self.drain();
        self.connect();
        self.write();
        self.accept(u8::from(!self.server.was_clean_start()), 0);
        assert!(self.client.is_online());
        loop {
            self.write();
            let answers = self.server.answers();
            if answers.is_empty() {
                break;
            }
            answers.iter().for_each(|answer| self.send_answer(answer));
        }
        while !self.receipts.is_empty() {
            self.acknowledge(0);
        }
        self.write();
        self.check();
        self.owner.check_content();
        self.features
    }
}
