//! What nobody needs any more is given back, and nothing that somebody still needs.

use longwire_broker::limits::Limits;
use longwire_proto::encode::AckKind;
use longwire_proto::{QoS, Version};
use longwire_store::journal::Holdings;

use longwire_sim::client::{Client, DURABLE, FLEETING, Got, Outgoing, Terms};
use longwire_sim::world::World;

/// A journal that sweeps often.
fn world() -> World {
    World::new(2, &Limits { journal_bytes_max: 256 << 10, ..Limits::default() })
}

fn publish(world: &mut World, publisher: &mut Client, topic: &str, count: usize) {
    for _ in 0..count {
        let payload = "x".repeat(1_000);
        let qos = QoS::AtLeastOnce;
        publisher.publish(
            world,
            Outgoing { topic, payload: &payload, qos, retain: false, dup: false, packet_id: 1 },
        );
        world.run_all();
        publisher.received(world);
    }
}

fn connected(world: &mut World, id: &str, terms: Terms) -> Client {
    let mut client = Client::new(id, Version::V5);
    client.connect(world, terms);
    world.run_all();
    client.received(world);
    client
}

fn acknowledge_all(world: &mut World, client: &mut Client) {
    loop {
        world.run_all();
        let received = client.received(world);
        if received.is_empty() {
            return;
        }
        for got in received {
            if let Got::Publish(delivery) = got {
                client.ack(world, AckKind::PubAck, delivery.packet_id);
            }
        }
    }
}

#[test]
fn the_log_stays_small_when_subscribers_keep_up() {
    let world = &mut world();
    let mut subscriber = connected(world, "subscriber", DURABLE);
    let mut publisher = connected(world, "publisher", FLEETING);
    subscriber.subscribe(world, 1, "t", QoS::AtLeastOnce);
    for _ in 0..100 {
        publish(world, &mut publisher, "t", 10);
        acknowledge_all(world, &mut subscriber);
    }
    assert!(world.journal.bytes() < 100 << 10, "{} bytes of a million published", world.journal.bytes());
}

#[test]
fn the_log_lets_go_of_messages_that_their_own_publisher_does_not_want() {
    let world = &mut world();
    let mut subscriber = connected(world, "subscriber", DURABLE);
    let mut publisher = connected(world, "publisher", DURABLE);
    subscriber.subscribe(world, 1, "t", QoS::AtLeastOnce);
    // No Local.
    world.send(publisher.wire.unwrap(), b"\x82\x07\x00\x01\x00\x00\x01t\x05");
    world.run_all();
    for _ in 0..100 {
        publish(world, &mut publisher, "t", 10);
        acknowledge_all(world, &mut subscriber);
    }
    assert!(world.journal.bytes() < 100 << 10, "{} bytes of a million published", world.journal.bytes());
}

#[test]
fn a_delivery_begun_before_unsubscribe_can_be_sent_again_however_much_is_swept() {
    let world = &mut world();
    let mut subscriber = connected(world, "subscriber", DURABLE);
    let mut publisher = connected(world, "publisher", FLEETING);
    subscriber.subscribe(world, 1, "t", QoS::AtLeastOnce);
    world.run_all();
    publish(world, &mut publisher, "t", 1);
    assert!(matches!(subscriber.received(world)[..], [Got::SubAck(..), Got::Publish(_)]));
    subscriber.unsubscribe(world, 2, "t");
    subscriber.subscribe(world, 3, "other", QoS::AtLeastOnce);
    world.run_all();
    subscriber.received(world);
    let mut other = connected(world, "other", DURABLE);
    other.subscribe(world, 1, "u", QoS::AtLeastOnce);
    for _ in 0..50 {
        publish(world, &mut publisher, "u", 10);
        acknowledge_all(world, &mut other);
    }
    subscriber.crash(world, 0);
    subscriber.connect(world, DURABLE);
    world.run_all();
    match &subscriber.received(world)[..] {
        [Got::ConnAck { session_present: true, .. }, Got::Publish(delivery)] => assert!(delivery.dup),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_that_ended_does_not_begin_again_by_a_record_that_comes_late() {
    let world = &mut world();
    let filter = "$share/group/t";
    let (durable_id, other_id) = (world.client_id_at(0, "durable"), world.client_id_at(1, "other"));
    let mut durable = connected(world, &durable_id, DURABLE);
    let mut other = connected(world, &other_id, FLEETING);
    durable.subscribe(world, 1, filter, QoS::AtLeastOnce);
    other.subscribe(world, 1, filter, QoS::AtLeastOnce);
    world.run_all();
    durable.crash(world, 0);
    durable.connect(world, Terms { expiry_secs: 0, ..DURABLE });
    world.run_all();
    // It joins again and ends, but its records are not posted before the last member has left.
    durable.subscribe(world, 2, filter, QoS::AtLeastOnce);
    durable.disconnect(world);
    let readable = world.wires_of(0);
    world.begin_turn(0, usize::MAX, &readable);
    other.disconnect(world);
    let readable = world.wires_of(1);
    world.begin_turn(1, usize::MAX, &readable);
    world.end_turn(1);
    world.serve_journal(usize::MAX);
    world.end_turn(0);
    world.run_all();
    world.journal.sweep();
    assert_eq!(world.journal.holdings(), Holdings::default());
}

#[test]
fn nothing_is_left_of_sessions_that_ended() {
    let world = &mut world();
    let mut clients: Vec<Client> = (0..40)
        .map(|n| {
            let terms = if n % 2 == 0 { DURABLE } else { FLEETING };
            let client = connected(world, &format!("client-{n}"), terms);
            for (id, filter) in [(1, "t"), (2, "t/#"), (3, "$share/group/t")] {
                client.subscribe(world, id, filter, QoS::AtLeastOnce);
            }
            client
        })
        .collect();
    let mut publisher = connected(world, "publisher", FLEETING);
    publish(world, &mut publisher, "t", 5);
    for client in &mut clients {
        client.connect(world, FLEETING);
        world.run_all();
        client.disconnect(world);
    }
    publisher.disconnect(world);
    world.run_all();
    let counters = world.count();
    assert_eq!((counters.sessions, counters.connections), (0, 0));
    let sizes = world.tables.sizes();
    assert_eq!((sizes.subscriptions, sizes.groups), (0, 0));
}
