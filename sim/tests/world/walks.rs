//! The three walks through the house: a QoS 1 PUBLISH, a takeover, a SUBSCRIBE with retained replay; and beside them
//! each line of the table of what waits for what. "Kept" means that the log has released it.

use longwire_broker::limits::Limits;
use longwire_proto::encode::AckKind;
use longwire_proto::{QoS, ReasonCode, Version};

use longwire_sim::client::{Client, DURABLE, Delivery, FLEETING, Got, Outgoing, Terms};
use longwire_sim::world::World;

const QOS0: QoS = QoS::AtMostOnce;
const QOS1: QoS = QoS::AtLeastOnce;
const QOS2: QoS = QoS::ExactlyOnce;
const SUCCESS: ReasonCode = ReasonCode::Success;

fn world() -> World {
    World::new(3, &Limits::default())
}

/// A client at home on shard `home`, connected and greeted.
fn client(world: &mut World, home: usize, name: &str, terms: Terms) -> Client {
    let mut client = Client::new(&world.client_id_at(home, name), Version::V5);
    client.connect(world, terms);
    world.run_all();
    assert_eq!(client.received(world), [connack(false)]);
    client
}

fn connack(session_present: bool) -> Got {
    Got::ConnAck { session_present, reason: SUCCESS }
}

fn subscribed(world: &mut World, client: &mut Client, filter: &str, qos: QoS) {
    client.subscribe(world, 9_000, filter, qos);
    world.run_all();
    assert_eq!(client.received(world), [Got::SubAck(9_000, vec![qos as u8])]);
}

fn publish(payload: &str, qos: QoS, packet_id: u16) -> Outgoing<'_> {
    Outgoing { topic: "t", payload, qos, retain: false, dup: false, packet_id }
}

fn delivery(payload: &str, qos: QoS, packet_id: u16) -> Got {
    Got::Publish(Delivery {
        topic: "t".into(),
        payload: payload.into(),
        qos,
        dup: false,
        retain: false,
        packet_id,
        identifiers: Vec::new(),
        expiry_secs: None,
    })
}

fn changed(got: Got, change: impl FnOnce(&mut Delivery)) -> Got {
    let Got::Publish(mut delivery) = got else { panic!("not a delivery: {got:?}") };
    change(&mut delivery);
    Got::Publish(delivery)
}

fn again(got: Got) -> Got {
    changed(got, |delivery| delivery.dup = true)
}

fn retained(got: Got) -> Got {
    changed(got, |delivery| delivery.retain = true)
}

/// Lets the log release what it holds, and everybody work.
fn keep(world: &mut World) {
    world.log.release(u64::MAX);
    world.run_all();
}

// --- a QoS 1 PUBLISH with a quick, a slow, an offline and a fleeting subscriber

#[test]
fn a_publish_reaches_the_fleeting_at_once_and_the_durable_when_it_is_kept() {
    let world = &mut world();
    let mut quick = client(world, 0, "quick", DURABLE);
    let mut slow = client(world, 1, "slow", Terms { receive_max: 1, ..DURABLE });
    let mut offline = client(world, 2, "offline", DURABLE);
    let mut fleeting = client(world, 1, "fleeting", FLEETING);
    let mut publisher = client(world, 2, "publisher", FLEETING);
    for subscriber in [&mut quick, &mut slow, &mut offline, &mut fleeting] {
        subscribed(world, subscriber, "t", QOS1);
    }
    offline.crash(world, 0);
    world.run_all();

    world.log.hold();
    publisher.publish(world, publish("one", QOS1, 1));
    publisher.publish(world, publish("two", QOS1, 2));
    world.run_all();
    assert_eq!(fleeting.received(world), [delivery("one", QOS1, 1), delivery("two", QOS1, 2)]);
    assert_eq!(quick.received(world), []);
    assert_eq!(publisher.received(world), [], "PUBACK waits until the message is kept");

    keep(world);
    assert_eq!(publisher.received(world), [Got::PubAck(1, SUCCESS), Got::PubAck(2, SUCCESS)]);
    assert_eq!(quick.received(world), [delivery("one", QOS1, 1), delivery("two", QOS1, 2)]);
    assert_eq!(slow.received(world), [delivery("one", QOS1, 1)], "its window is shut");

    slow.ack(world, AckKind::PubAck, 1);
    world.run_all();
    assert_eq!(slow.received(world), [delivery("two", QOS1, 2)], "read from the log");

    offline.connect(world, DURABLE);
    world.run_all();
    assert_eq!(offline.received(world), [], "CONNACK waits until the change of the session is kept");
    keep(world);
    let backlog = [connack(true), delivery("one", QOS1, 1), delivery("two", QOS1, 2)];
    assert_eq!(offline.received(world), backlog);
}

#[test]
fn who_caught_up_is_live_again_and_sees_every_message_once_and_in_order() {
    let world = &mut world();
    let mut slow = client(world, 0, "slow", Terms { receive_max: 2, ..DURABLE });
    let publisher = client(world, 1, "publisher", FLEETING);
    subscribed(world, &mut slow, "t", QOS1);
    let mut seen = Vec::new();
    for n in 1..=40_u16 {
        publisher.publish(world, publish(&n.to_string(), QOS1, n));
        // Page and live deliveries cross: the journal answers between two publications, or only after several.
        world.run_shards();
        if n % 3 == 0 {
            world.run_all();
        }
        for got in slow.received(world) {
            let Got::Publish(delivery) = got else { panic!("{got:?}") };
            slow.ack(world, AckKind::PubAck, delivery.packet_id);
            seen.push(delivery.payload);
        }
    }
    loop {
        world.run_all();
        let page = slow.received(world);
        if page.is_empty() {
            break;
        }
        for got in page {
            let Got::Publish(delivery) = got else { panic!("{got:?}") };
            slow.ack(world, AckKind::PubAck, delivery.packet_id);
            seen.push(delivery.payload);
        }
    }
    let expected: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn acknowledgements_leave_in_arrival_order_though_one_has_nothing_to_wait_for() {
    let world = &mut world();
    let mut durable = client(world, 0, "durable", DURABLE);
    let mut publisher = client(world, 1, "publisher", FLEETING);
    subscribed(world, &mut durable, "t", QOS1);
    world.log.hold();
    publisher.publish(world, publish("kept", QOS2, 1));
    publisher.publish(world, Outgoing { topic: "nobody", ..publish("", QOS2, 2) });
    world.run_all();
    assert_eq!(publisher.received(world), []);
    keep(world);
    let no_one = ReasonCode::NoMatchingSubscribers;
    assert_eq!(publisher.received(world), [Got::PubRec(1, SUCCESS), Got::PubRec(2, no_one)]);
}

#[test]
fn nothing_durable_wants_it_so_the_acknowledgement_does_not_wait_for_the_log() {
    let world = &mut world();
    let mut publisher = client(world, 0, "publisher", FLEETING);
    let mut fleeting = client(world, 1, "fleeting", FLEETING);
    subscribed(world, &mut fleeting, "t", QOS2);
    publisher.publish(world, publish("one", QOS1, 1));
    world.run_shards();
    assert_eq!(publisher.received(world), [Got::PubAck(1, SUCCESS)]);
    assert_eq!(fleeting.received(world), [delivery("one", QOS1, 1)]);
}

#[test]
fn a_higher_level_does_not_bring_back_what_was_served_live() {
    let world = &mut world();
    let mut subscriber = client(world, 0, "subscriber", DURABLE);
    let mut other = client(world, 1, "other", DURABLE);
    let publisher = client(world, 2, "publisher", FLEETING);
    subscribed(world, &mut other, "t", QOS1);
    subscribed(world, &mut subscriber, "t", QOS0);
    publisher.publish(world, publish("before", QOS1, 1));
    world.run_all();
    assert_eq!(subscriber.received(world), [delivery("before", QOS0, 0)]);
    subscribed(world, &mut subscriber, "t", QOS1);
    subscriber.crash(world, 0);
    publisher.publish(world, publish("after", QOS1, 2));
    world.run_all();
    // Only now does it read the log.
    subscriber.connect(world, DURABLE);
    world.run_all();
    assert_eq!(subscriber.received(world), [connack(true), delivery("after", QOS1, 1)]);
}

#[test]
fn a_member_of_two_groups_serves_both_with_a_window_of_one() {
    let world = &mut world();
    let mut member = client(world, 0, "member", Terms { receive_max: 1, ..DURABLE });
    let publisher = client(world, 1, "publisher", FLEETING);
    member.subscribe(world, 1, "$share/one/t", QOS1);
    world.run_all();
    member.received(world);
    publisher.publish(world, publish("one", QOS1, 1));
    world.run_all();
    assert_eq!(member.received(world), [delivery("one", QOS1, 1)]);
    // The window is shut when it joins; the other group has to hear when it opens.
    member.subscribe(world, 2, "$share/two/u", QOS1);
    publisher.publish(world, Outgoing { topic: "u", ..publish("two", QOS1, 2) });
    world.run_all();
    assert_eq!(member.received(world), [Got::SubAck(2, vec![1])]);
    member.ack(world, AckKind::PubAck, 1);
    world.run_all();
    let two = changed(delivery("two", QOS1, 2), |delivery| delivery.topic = "u".into());
    assert_eq!(member.received(world), [two]);
}

#[test]
fn who_left_a_group_gets_nothing_that_was_on_its_way() {
    let world = &mut world();
    let filter = "$share/one/t";
    let home = world.home(filter);
    let (elsewhere, here) = ((home + 1) % 3, home);
    let mut member = client(world, elsewhere, "member", FLEETING);
    let mut other = client(world, here, "other", FLEETING);
    let publisher = client(world, here, "publisher", FLEETING);
    subscribed(world, &mut member, filter, QOS1);
    subscribed(world, &mut other, filter, QOS1);
    member.unsubscribe(world, 1, filter);
    // UNSUBACK is there, and word of the leave is still in the mail.
    for _ in 0..2 {
        let readable = world.wires_of(elsewhere);
        world.begin_turn(elsewhere, usize::MAX, &readable);
        world.end_turn(elsewhere);
    }
    assert_eq!(member.received(world), [Got::UnsubAck(1)]);
    publisher.publish(world, publish("one", QOS1, 1));
    publisher.publish(world, publish("two", QOS1, 2));
    let readable = world.wires_of(here);
    world.begin_turn(here, 0, &readable);
    world.end_turn(here);
    world.run_all();
    assert_eq!(member.received(world), []);
    assert_eq!(other.received(world).len(), 2, "what came back went to who stayed");
}

// --- both hand-shakes of QoS 2, line by line of the table

#[test]
fn a_durable_publishers_qos_2_ids_are_kept_before_pubrec_and_pubcomp() {
    let world = &mut world();
    let mut publisher = client(world, 0, "publisher", DURABLE);
    world.log.hold();
    publisher.publish(world, publish("nobody wants it", QOS2, 7));
    world.run_all();
    assert_eq!(publisher.received(world), [], "PUBREC waits until the id is kept");
    keep(world);
    assert_eq!(publisher.received(world), [Got::PubRec(7, ReasonCode::NoMatchingSubscribers)]);
    publisher.ack(world, AckKind::PubRel, 7);
    world.run_all();
    assert_eq!(publisher.received(world), [], "PUBCOMP waits until the release is kept");
    keep(world);
    assert_eq!(publisher.received(world), [Got::PubComp(7)]);
}

#[test]
fn a_durable_subscriber_gets_qos_2_and_pubrel_when_id_and_pubrec_are_kept() {
    let world = &mut world();
    let mut subscriber = client(world, 0, "subscriber", DURABLE);
    let publisher = client(world, 1, "publisher", FLEETING);
    subscribed(world, &mut subscriber, "t", QOS2);
    publisher.publish(world, publish("one", QOS2, 1));
    world.log.hold();
    world.run_all();
    // The message itself becomes durable here, the pairing with its packet id after it.
    world.log.release(u64::MAX);
    world.serve_journal(usize::MAX);
    world.run_shards();
    assert_eq!(subscriber.received(world), [], "PUBLISH waits until its packet id is kept");
    world.serve_journal(usize::MAX);
    keep(world);
    assert_eq!(subscriber.received(world), [delivery("one", QOS2, 1)]);
    subscriber.ack(world, AckKind::PubRec, 1);
    world.run_all();
    assert_eq!(subscriber.received(world), [], "PUBREL waits until PUBREC is kept");
    keep(world);
    assert_eq!(subscriber.received(world), [Got::PubRel(1)]);
}

#[test]
fn a_fleeting_subscriber_waits_for_nothing() {
    let world = &mut world();
    let mut subscriber = Client::new("subscriber", Version::V5);
    subscriber.connect(world, FLEETING);
    subscriber.subscribe(world, 1, "t", QOS2);
    world.run_shards();
    assert_eq!(subscriber.received(world), [connack(false), Got::SubAck(1, vec![2])]);
    let publisher = client(world, 0, "publisher", FLEETING);
    publisher.publish(world, publish("one", QOS2, 1));
    world.run_shards();
    assert_eq!(subscriber.received(world), [delivery("one", QOS2, 1)]);
    subscriber.ack(world, AckKind::PubRec, 1);
    world.run_shards();
    assert_eq!(subscriber.received(world), [Got::PubRel(1)]);
}

// --- a CONNECT that takes over

#[test]
fn a_takeover_says_goodbye_at_once_and_connack_when_it_is_kept() {
    let world = &mut world();
    let mut old = client(world, 0, "client", DURABLE);
    let mut new = Client::new(&old.id, Version::V5);
    world.log.hold();
    new.connect(world, DURABLE);
    world.run_all();
    assert_eq!(old.received(world), [Got::Disconnect(ReasonCode::SessionTakenOver)]);
    assert_eq!(new.received(world), [], "CONNACK waits until the session is kept");
    keep(world);
    assert_eq!(new.received(world), [connack(true)]);
}

#[test]
fn the_new_connection_gets_what_was_open_then_the_backlog_then_live_messages() {
    let world = &mut world();
    let two_at_once = Terms { receive_max: 2, ..DURABLE };
    let mut old = client(world, 0, "client", two_at_once);
    let publisher = client(world, 1, "publisher", FLEETING);
    subscribed(world, &mut old, "t", QOS1);
    for n in 1..=3 {
        publisher.publish(world, publish(&n.to_string(), QOS1, n));
    }
    world.run_all();
    assert_eq!(old.received(world), [delivery("1", QOS1, 1), delivery("2", QOS1, 2)]);

    let mut new = Client::new(&old.id, Version::V5);
    new.connect(world, DURABLE);
    publisher.publish(world, publish("4", QOS1, 4));
    world.run_all();
    publisher.publish(world, publish("5", QOS1, 5));
    world.run_all();
    let expected = [
        connack(true),
        again(delivery("1", QOS1, 1)),
        again(delivery("2", QOS1, 2)),
        delivery("3", QOS1, 3),
        delivery("4", QOS1, 4),
        delivery("5", QOS1, 5),
    ];
    assert_eq!(new.received(world), expected);
}

#[test]
fn the_late_end_of_the_old_socket_does_not_touch_the_new_connection() {
    let world = &mut world();
    let mut old = client(world, 0, "client", DURABLE);
    subscribed(world, &mut old, "t", QOS1);
    let mut new = Client::new(&old.id, Version::V5);
    new.connect(world, DURABLE);
    world.run_shards();
    old.crash(world, 0);
    world.run_all();
    let publisher = client(world, 1, "publisher", FLEETING);
    publisher.publish(world, publish("one", QOS1, 1));
    world.run_all();
    assert_eq!(new.received(world), [connack(true), delivery("one", QOS1, 1)]);
}

#[test]
fn a_clean_start_over_a_durable_session_is_kept_before_its_connack() {
    let world = &mut world();
    let mut old = client(world, 0, "client", DURABLE);
    subscribed(world, &mut old, "t", QOS1);
    old.crash(world, 0);
    world.run_all();
    world.log.hold();
    let mut new = Client::new(&old.id, Version::V5);
    new.connect(world, FLEETING);
    world.run_all();
    assert_eq!(new.received(world), [], "the end of the old session has to survive first");
    keep(world);
    assert_eq!(new.received(world), [connack(false)]);
    assert_eq!(world.tables.sizes().subscriptions, 0);
}

#[test]
fn an_owed_pubrel_comes_back_in_the_place_of_its_publish() {
    let world = &mut world();
    let mut subscriber = client(world, 0, "subscriber", DURABLE);
    let publisher = client(world, 1, "publisher", FLEETING);
    subscribed(world, &mut subscriber, "t", QOS2);
    publisher.publish(world, publish("one", QOS2, 1));
    publisher.publish(world, publish("two", QOS2, 2));
    world.run_all();
    assert_eq!(subscriber.received(world).len(), 2);
    subscriber.ack(world, AckKind::PubRec, 1);
    world.run_all();
    assert_eq!(subscriber.received(world), [Got::PubRel(1)]);
    subscriber.crash(world, 0);
    subscriber.connect(world, DURABLE);
    world.run_all();
    let expected = [connack(true), Got::PubRel(1), again(delivery("two", QOS2, 2))];
    assert_eq!(subscriber.received(world), expected);
}

// --- a SUBSCRIBE with retained replay

#[test]
fn suback_waits_until_the_subscription_is_kept_and_retained_messages_follow_it() {
    let world = &mut world();
    let mut publisher = client(world, 0, "publisher", FLEETING);
    let mut subscriber = client(world, 1, "subscriber", DURABLE);
    publisher.publish(world, Outgoing { retain: true, ..publish("old", QOS1, 1) });
    world.run_all();
    assert_eq!(publisher.received(world), [Got::PubAck(1, SUCCESS)]);
    world.log.hold();
    subscriber.subscribe(world, 5, "t", QOS1);
    world.run_all();
    assert_eq!(subscriber.received(world), []);
    keep(world);
    let expected = [Got::SubAck(5, vec![1]), retained(delivery("old", QOS1, 1))];
    assert_eq!(subscriber.received(world), expected);
    subscriber.unsubscribe(world, 6, "t");
    world.run_all();
    assert_eq!(subscriber.received(world), [], "UNSUBACK waits as SUBACK does");
    keep(world);
    assert_eq!(subscriber.received(world), [Got::UnsubAck(6)]);
}

#[test]
fn a_retained_publication_is_acknowledged_when_it_is_kept_though_nobody_subscribed() {
    let world = &mut world();
    let mut publisher = client(world, 0, "publisher", FLEETING);
    world.log.hold();
    publisher.publish(world, Outgoing { retain: true, ..publish("new", QOS1, 1) });
    world.run_all();
    assert_eq!(publisher.received(world), []);
    keep(world);
    assert_eq!(publisher.received(world), [Got::PubAck(1, SUCCESS)]);
}

#[test]
fn what_is_published_while_retained_messages_are_replayed_follows_them() {
    let world = &mut world();
    let publisher = client(world, 0, "publisher", FLEETING);
    let mut subscriber = client(world, 1, "subscriber", Terms { receive_max: 2, ..DURABLE });
    for n in 1..=4 {
        let topic = format!("r/{n}");
        publisher.publish(world, Outgoing { topic: &topic, retain: true, ..publish("old", QOS1, n) });
    }
    world.run_all();
    subscriber.subscribe(world, 5, "r/#", QOS1);
    world.run_all();
    assert_eq!(subscriber.received(world).len(), 3, "SUBACK and as many as the window takes");
    publisher.publish(world, Outgoing { topic: "r/9", ..publish("live", QOS1, 9) });
    world.run_all();
    let mut seen = Vec::new();
    for packet_id in 1..=4 {
        subscriber.ack(world, AckKind::PubAck, packet_id);
        world.run_all();
        for got in subscriber.received(world) {
            let Got::Publish(delivery) = got else { panic!("{got:?}") };
            seen.push((delivery.topic, delivery.retain));
        }
    }
    assert_eq!(seen, [("r/3".into(), true), ("r/4".into(), true), ("r/9".into(), false)]);
}

#[test]
fn publishers_on_two_shards_agree_with_all_subscribers_on_the_last_retained_value() {
    let world = &mut world();
    let mut subscribers: Vec<Client> =
        (0..3).map(|home| client(world, home, "subscriber", FLEETING)).collect();
    for subscriber in &mut subscribers {
        subscribed(world, subscriber, "t", QOS0);
    }
    let left = client(world, 0, "left", FLEETING);
    let right = client(world, 1, "right", FLEETING);
    left.publish(world, Outgoing { retain: true, ..publish("left", QOS0, 0) });
    right.publish(world, Outgoing { retain: true, ..publish("right", QOS0, 0) });
    // Both are taken in before either has its place; then the right one is first.
    for shard in [0, 1] {
        let readable = world.wires_of(shard);
        world.begin_turn(shard, 0, &readable);
    }
    world.end_turn(1);
    world.end_turn(0);
    world.run_all();
    for subscriber in &mut subscribers {
        let last = subscriber.received(world).pop();
        assert_eq!(last, Some(delivery("left", QOS0, 0)));
    }
    let mut late = client(world, 2, "late", FLEETING);
    late.subscribe(world, 1, "t", QOS0);
    world.run_all();
    assert_eq!(late.received(world).pop(), Some(retained(delivery("left", QOS0, 0))));
}
