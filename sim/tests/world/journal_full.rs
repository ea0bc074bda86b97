//! The journal has a bound. Beyond it nothing that needs it is accepted, and nothing that was accepted is lost.

use longwire_broker::limits::Limits;
use longwire_proto::encode::AckKind;
use longwire_proto::{QoS, ReasonCode, Version};

use longwire_sim::client::{Client, DURABLE, FLEETING, Got, Outgoing};
use longwire_sim::world::World;

/// A world whose journal is full for the sake of one absent subscriber, with a publisher, and the payloads that were
/// accepted before.
fn full_world() -> (World, Client, Client, Vec<String>) {
    let mut world = World::new(2, &Limits { journal_bytes_max: 16 << 10, ..Limits::default() });
    let mut subscriber = Client::new("subscriber", Version::V5);
    subscriber.connect(&mut world, DURABLE);
    subscriber.subscribe(&mut world, 1, "t", QoS::AtLeastOnce);
    world.run_all();
    subscriber.crash(&mut world, 0);
    let mut publisher = Client::new("publisher", Version::V5);
    publisher.connect(&mut world, FLEETING);
    world.run_all();
    publisher.received(&mut world);
    let mut accepted = Vec::new();
    for n in 1..1_000 {
        let payload = format!("{n:0>200}");
        match publish(&mut world, &mut publisher, n, &payload) {
            ReasonCode::Success => accepted.push(payload),
            refused => {
                assert_eq!(refused, ReasonCode::QuotaExceeded);
                return (world, subscriber, publisher, accepted);
            }
        }
    }
    panic!("the journal is never full");
}

fn publish(world: &mut World, publisher: &mut Client, packet_id: u16, payload: &str) -> ReasonCode {
    let qos = QoS::AtLeastOnce;
    publisher.publish(world, Outgoing { topic: "t", payload, qos, retain: false, dup: false, packet_id });
    world.run_all();
    match publisher.received(world)[..] {
        [Got::PubAck(id, reason)] if id == packet_id => reason,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_accepted_is_delivered_and_then_there_is_room_again() {
    let (mut world, mut subscriber, mut publisher, accepted) = full_world();
    subscriber.connect(&mut world, DURABLE);
    let mut seen = Vec::new();
    loop {
        world.run_all();
        let received = subscriber.received(&mut world);
        if received.is_empty() {
            break;
        }
        for got in received {
            if let Got::Publish(delivery) = got {
                subscriber.ack(&mut world, AckKind::PubAck, delivery.packet_id);
                seen.push(delivery.payload);
            }
        }
    }
    assert_eq!(seen, accepted);
    assert_eq!(publish(&mut world, &mut publisher, 1, "again"), ReasonCode::Success);
}

#[test]
fn the_end_of_the_session_that_filled_it_gives_room_too() {
    let (mut world, mut subscriber, mut publisher, _) = full_world();
    subscriber.connect(&mut world, FLEETING);
    world.run_all();
    let reason = publish(&mut world, &mut publisher, 1, "nobody wants it");
    assert_eq!(reason, ReasonCode::NoMatchingSubscribers);
    subscriber.subscribe(&mut world, 2, "t", QoS::AtLeastOnce);
    let mut other = Client::new("other", Version::V5);
    other.connect(&mut world, DURABLE);
    other.subscribe(&mut world, 1, "t", QoS::AtLeastOnce);
    world.run_all();
    assert_eq!(publish(&mut world, &mut publisher, 2, "room"), ReasonCode::Success);
}

#[test]
fn a_publication_that_needs_no_journal_is_accepted_meanwhile() {
    let (mut world, _, mut publisher, _) = full_world();
    let mut live = Client::new("live", Version::V5);
    live.connect(&mut world, FLEETING);
    live.subscribe(&mut world, 1, "other", QoS::AtLeastOnce);
    world.run_all();
    live.received(&mut world);
    let qos = QoS::AtLeastOnce;
    let other = Outgoing { topic: "other", payload: "live", qos, retain: false, dup: false, packet_id: 9 };
    publisher.publish(&mut world, other);
    world.run_all();
    assert_eq!(publisher.received(&mut world), [Got::PubAck(9, ReasonCode::Success)]);
    assert_eq!(live.received(&mut world).len(), 1);
}

#[test]
fn before_5_0_a_publisher_that_cannot_be_told_is_closed() {
    let (mut world, ..) = full_world();
    let mut old = Client::new("old publisher", Version::V311);
    old.connect(&mut world, FLEETING);
    world.run_all();
    old.received(&mut world);
    let qos = QoS::AtLeastOnce;
    let lost = Outgoing { topic: "t", payload: "x", qos, retain: false, dup: false, packet_id: 1 };
    old.publish(&mut world, lost);
    world.run_all();
    assert_eq!(old.received(&mut world), [], "no acknowledgement of what is not kept");
    assert!(world.is_over(old.wire.unwrap()));
}
