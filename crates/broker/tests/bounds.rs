//! What a shard holds is bounded, and what it holds back goes on, whatever its peers do.
//!
//! One shard, driven input by input; the journal and the other end of the wire are played by the test.

use std::sync::Arc;

use longwire_broker::address::{GroupRef, HashKey, SessionRef};
use longwire_broker::effect::Effects;
use longwire_broker::event::Event;
use longwire_broker::input::{Input, LinkId};
use longwire_broker::limits::{FAN_OUT_PER_TURN, Limits};
use longwire_broker::message::{Message, MessageView, NEVER};
use longwire_broker::parcel::{
    Ask, FromJournal, GroupMail, Lent, LogDelivery, MemberTerms, Parcel, Recipient,
};
use longwire_broker::record::Record;
use longwire_broker::routes::Receiver;
use longwire_broker::shard::Shard;
use longwire_broker::tables::{Tables, TablesInTurn};
use longwire_proto::decode::{self, Decoded, Rules};
use longwire_proto::property::Properties;
use longwire_proto::{Packet, QoS, Version};

const OUTBOX_BYTES_MAX: usize = 10_000;

/// A session that nobody here is.
const ELSEWHERE: SessionRef = SessionRef { slot: 9, generation: 9, shard: 0 };

struct Desk {
    shard: Shard,
    tables: Tables,
    effects: Effects,
}

impl Desk {
    fn new() -> Self {
        Desk::with(Limits {
            outbox_bytes_max: OUTBOX_BYTES_MAX,
            queue_bytes_max: 100_000,
            inflight_max: 1_000,
            ..Limits::default()
        })
    }

    fn with(limits: Limits) -> Self {
        let key = HashKey(1, 2);
        Desk { shard: Shard::new(0, 1, key, limits), tables: Tables::new(key), effects: Effects::new(0, 1) }
    }

    fn input(&mut self, input: Input<'_>) {
        self.shard.handle(1_000, input, &mut TablesInTurn::new(&self.tables), &mut self.effects);
    }

    /// Hands over the packets in `bytes`, of version 3.1.1.
    fn packets(&mut self, link: LinkId, mut bytes: &[u8]) {
        let rules = Rules {
            version: Version::V311,
            receiver: decode::Receiver::Server,
            packet_size_max: u32::MAX,
            strict_text: true,
        };
        while !bytes.is_empty() {
            let Ok(Decoded::Packet(packet, len)) = decode::packet(bytes, &rules) else {
                panic!("{bytes:?}");
            };
            bytes = &bytes[len..];
            match packet {
                Packet::Connect(connect) => {
                    self.input(Input::Connect { link, connect: &connect, assigned_id: "" });
                }
                packet => self.input(Input::Packet { link, packet }),
            }
        }
    }

    /// Connects a client of one letter. A durable one waits for the journal.
    fn connect(&mut self, link: LinkId, letter: u8, is_durable: bool) {
        let clean = if is_durable { 0 } else { 2 };
        self.packets(link, &[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, clean, 0, 0, 0, 1, letter]);
    }

    /// Subscribes to a filter of one letter.
    fn subscribe(&mut self, link: LinkId, letter: u8, qos: u8) {
        self.packets(link, &[0x82, 6, 0, 1, 0, 1, letter, qos]);
    }

    /// The journal keeps everything so far. The address of the session that was begun last.
    fn keep(&mut self) -> SessionRef {
        let mut begun = ELSEWHERE;
        let mut newest = 0;
        for (ticket, record) in self.effects.keeps.drain(..) {
            newest = newest.max(ticket);
            if let Record::SessionBegun { session, .. } = record {
                begun = session;
            }
        }
        self.input(Input::Journal(FromJournal::Kept(newest)));
        begun
    }

    /// The log delivers messages of these sizes to one session, from position 1 on.
    fn deliver_kept(&mut self, session: SessionRef, qos: QoS, sizes: &[usize]) {
        let deliveries = (1..).zip(sizes).map(|(position, &size)| LogDelivery {
            position,
            message: message(qos, size),
            recipients: vec![recipient(session, qos)],
            identifiers: vec![],
            live_groups: Vec::new(),
            passed: None,
        });
        self.input(Input::Journal(FromJournal::Deliveries(deliveries.collect())));
    }

    /// The socket takes everything that waits.
    fn drain(&mut self, link: LinkId) {
        let count = self.shard.pending(link).len();
        if self.shard.sent(link, count) {
            self.input(Input::Drained { link });
        }
    }

    fn take_mail(&mut self) -> Vec<Parcel> {
        std::mem::take(&mut self.effects.mail[0])
    }
}

fn message(qos: QoS, size: usize) -> Arc<Message> {
    let payload = vec![7; size];
    let view = MessageView {
        publisher: ELSEWHERE,
        publisher_id: "p",
        qos,
        retain: false,
        expires_at: NEVER,
        topic: "t",
        properties: Properties::EMPTY,
        payload: &payload,
    };
    view.to_message()
}

fn recipient(session: SessionRef, qos: QoS) -> Recipient {
    Recipient { receiver: Receiver::Session(session), qos, retain_as_published: false, identifiers: (0, 0) }
}

/// PUBLISH to a topic of one letter.
fn publish(letter: u8, qos1_id: Option<u8>, payload_len: u8) -> Vec<u8> {
    let id_len = if qos1_id.is_some() { 2 } else { 0 };
    let mut bytes = vec![0x30 | id_len, 3 + id_len + payload_len, 0, 1, letter];
    bytes.extend(qos1_id.into_iter().flat_map(|id| [0, id]));
    bytes.resize(bytes.len() + usize::from(payload_len), 7);
    bytes
}

#[test]
fn a_kept_message_that_found_the_outbox_full_is_read_again_once_it_has_drained() {
    let mut desk = Desk::new();
    desk.connect(0, b'd', true);
    let session = desk.keep();
    desk.subscribe(0, b't', 1);
    desk.keep();
    desk.drain(0);
    // The first fills the outbox, the second finds it full; neither will be acknowledged.
    desk.deliver_kept(session, QoS::AtLeastOnce, &[OUTBOX_BYTES_MAX, 1]);
    assert!(desk.effects.asks.is_empty());
    desk.drain(0);
    assert!(matches!(desk.effects.asks[..], [Ask::Read { after: 1, .. }]), "{:?}", desk.effects.asks);
}

#[test]
fn messages_that_wait_for_their_record_count_as_waiting_for_the_socket() {
    let mut desk = Desk::new();
    desk.connect(0, b'd', true);
    let session = desk.keep();
    desk.subscribe(0, b't', 2);
    desk.keep();
    desk.drain(0);
    desk.deliver_kept(session, QoS::ExactlyOnce, &[1_000; 900]);
    desk.keep();
    let pending = desk.shard.pending(0).len();
    assert!((1_000..OUTBOX_BYTES_MAX + 2_000).contains(&pending), "{pending} bytes");
}

#[test]
fn a_client_that_fills_its_own_queue_by_publishing_ends_under_its_own_name() {
    let mut desk = Desk::new();
    desk.connect(0, b'c', false);
    desk.subscribe(0, b't', 1);
    let mut sent = 0;
    while desk.shard.version(0).is_some() && sent < 10_000 {
        desk.packets(0, &publish(b't', Some(1), 100));
        sent += 1;
    }
    assert!(sent < 10_000, "the queue has a bound");
    let end = desk.effects.events.iter().find_map(|event| match event {
        Event::Disconnected { client, .. } => Some(&**client),
        _ => None,
    });
    assert_eq!(end, Some("c"));
    assert_eq!(desk.shard.count().sessions, 0);
}

#[test]
fn many_small_messages_fill_a_queue_too() {
    let mut desk = Desk::new();
    desk.connect(0, b's', false);
    desk.subscribe(0, b't', 1);
    desk.connect(1, b'p', false);
    let mut sent = 0;
    while desk.shard.version(0).is_some() && sent < 20_000 {
        desk.packets(1, &publish(b't', Some(1), 0));
        sent += 1;
    }
    // 1,000 of them are in flight.
    assert!(sent < 3_000, "{sent} messages of two bytes were queued within 100,000 bytes");
}

#[test]
fn joining_many_groups_takes_a_few_letters_for_each() {
    let mut desk = Desk::new();
    desk.connect(0, b'c', false);
    for number in 0..200_u8 {
        let filter = format!("$share/g/{number:03}");
        let mut bytes = vec![0x82, 5 + filter.len() as u8, 0, 1, 0, filter.len() as u8];
        bytes.extend(filter.as_bytes());
        bytes.push(0);
        desk.packets(0, &bytes);
    }
    assert_eq!(desk.take_mail().len(), 400, "one to join and one to open for each");
}

#[test]
fn nothing_is_handed_out_before_connack() {
    let mut desk = Desk::new();
    desk.connect(0, b'd', true);
    let member = desk
        .effects
        .keeps
        .iter()
        .find_map(|(_, record)| match record {
            Record::SessionBegun { session, .. } => Some(*session),
            _ => None,
        })
        .unwrap();
    let group = GroupRef { slot: 0, generation: 0, shard: 0 };
    let lent = Lent { group, message: message(QoS::AtMostOnce, 1), position: None };
    let terms = MemberTerms { qos: QoS::AtMostOnce, retain_as_published: false, identifier: 0 };
    desk.input(Input::Parcel(Parcel::Group(GroupMail::HandOut { member, lent, terms })));
    assert_eq!(desk.shard.pending(0), []);
    assert!(matches!(desk.take_mail()[..], [Parcel::Group(GroupMail::Returned { .. })]));
}

#[test]
fn a_wide_fan_out_counts_until_its_last_receiver_is_served() {
    let mut desk = Desk::new();
    let receivers = FAN_OUT_PER_TURN as LinkId + 1;
    for link in 0..receivers {
        let id = (link as u16 + 0x4040).to_be_bytes();
        let [high, low] = [0x21 + id[0] % 64, 0x21 + id[1] % 64];
        let third = 0x21 + (id[1] / 64) * 8 + id[0] / 64;
        let mut connect = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03".to_vec();
        connect.extend([high, low, third]);
        desk.packets(link, &connect);
        desk.subscribe(link, b't', 0);
    }
    assert_eq!(desk.shard.connections(), receivers as usize, "every id is another one");
    desk.packets(0, &publish(b't', None, 10));
    assert!(desk.shard.wide_bytes() > 0);
    desk.input(Input::Continue);
    assert_eq!(desk.shard.wide_bytes(), 0);
}

#[test]
fn nobody_waits_for_records_of_others() {
    let mut desk = Desk::new();
    desk.connect(0, b'd', true);
    desk.keep();
    desk.subscribe(0, b'w', 1);
    desk.keep();
    // A fleeting client whose will is for the log.
    desk.packets(1, b"\x10\x13\x00\x04MQTT\x04\x0e\x00\x00\x00\x01f\x00\x01w\x00\x01!");
    desk.connect(2, b'f', false);
    assert_eq!(desk.effects.keeps.len(), 1, "the will: {:?}", desk.effects.keeps);
    assert_eq!(desk.shard.pending(2), [0x20, 2, 0, 0], "CONNACK waits for nothing");
}

#[test]
fn a_subscription_can_be_replaced_when_no_more_are_granted() {
    let mut desk = Desk::with(Limits { subscriptions_per_session_max: 2, ..Limits::default() });
    desk.connect(0, b'c', false);
    desk.subscribe(0, b'a', 0);
    desk.packets(0, b"\x82\x0f\x00\x01\x00\x0a$share/g/s\x00");
    desk.drain(0);
    desk.subscribe(0, b'b', 0);
    desk.subscribe(0, b'a', 1);
    desk.packets(0, b"\x82\x0f\x00\x01\x00\x0a$share/g/s\x01");
    let subacks = [[0x90, 3, 0, 1, 0x80], [0x90, 3, 0, 1, 1], [0x90, 3, 0, 1, 1]];
    assert_eq!(desk.shard.pending(0), subacks.concat());
}

#[test]
fn what_is_retained_may_not_grow_beyond_its_bound_by_replacing() {
    let mut desk = Desk::with(Limits { retained_bytes_max: 100, ..Limits::default() });
    desk.connect(0, b'c', false);
    for size in [10, 90, 120, 5] {
        let mut bytes = publish(b't', None, size);
        bytes[0] |= 1;
        desk.packets(0, &bytes);
        desk.input(Input::PublishDeferred);
    }
    // With topic and client id.
    assert_eq!(desk.tables.sizes().retained_bytes, 7);
    assert_eq!(desk.shard.count().publishes_dropped, 1);
}

#[test]
fn the_sessions_of_all_shards_count_against_one_bound() {
    let limits = Limits { sessions_max: 1, ..Limits::default() };
    let mut desk = Desk::with(limits.clone());
    desk.connect(0, b'a', false);
    // Another shard with the same tables.
    desk.shard = Shard::new(0, 1, HashKey(1, 2), limits);
    desk.connect(1, b'b', false);
    assert!(matches!(desk.effects.events.last(), Some(Event::Refused { .. })), "{:?}", desk.effects.events);
}
