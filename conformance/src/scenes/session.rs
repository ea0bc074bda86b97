//! Sessions: how they begin, outlive connections, change hands and end. Hard cases C.

use std::collections::BTreeSet;
use std::time::Duration;

use longwire_proto::property::Property;
use longwire_proto::{ReasonCode, Version};

use super::scenes;
use crate::craft;
use crate::failure::{Check, ensure, joined, same};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::{Login, Stage};

scenes! {
    both session_present_tells_whether_state_exists "C01 C24 U5-45" "3.1.4-3 3.2.2-1 3.2.2-2 3.2.2-3 3.1.2-4 3.1.2-6" "3.1.4-4 3.2.2-2 3.2.2-3 3.1.2-5 3.1.2-6 3.1.2-23";
    v5 expiry_zero_ends_the_session_with_its_connection "C02 U5-07" "4.1.0-1 4.1.0-2";
    v5 clean_start_replaces_state_but_the_new_one_is_kept "C03" "3.1.2-4 3.2.2-2";
    v5 session_ends_when_its_expiry_has_passed "U5-07" "4.1.0-2";
    v5 disconnect_with_expiry_zero_ends_the_session "C05 C06" "4.1.0-2";
    v5 disconnect_without_expiry_keeps_that_of_connect "C05 C06 U5-38" "3.1.2-23";
    v5 disconnect_raises_the_expiry "C05 U5-39" "3.1.2-23";
    v5 disconnect_lowers_the_expiry "C05 U5-39" "4.1.0-2";
    v5 disconnect_cannot_raise_the_expiry_from_zero "C05 C06 D09 U5-39" "4.13.1-1 3.14.4-3 4.1.0-2";
    both session_survives_a_change_of_version "C08" "3.1.2-4" "3.1.2-5";
    both takeover_in_a_burst_loses_nothing "C09" "3.1.4-2 4.4.0-1" "3.1.4-3 4.4.0-1";
    both clean_takeover_in_a_burst_inherits_nothing "C10" "3.1.2-6 3.1.4-2" "3.1.2-4 3.1.4-3";
    both late_end_of_the_old_socket_changes_nothing "C11" "3.1.4-2" "3.1.4-3";
    both takeover_by_another_version "C08 C12" "3.1.4-2" "3.1.4-3";
    both takeover_ping_pong_stays_healthy "C12" "3.1.4-2" "3.1.4-3 3.14.2-2";
    both refused_connect_leaves_the_old_connection_alone "C14" "3.1.4-1" "3.1.4-2 3.2.2-6";
    both second_connect_on_one_link_closes "C15 U5-40" "3.1.0-2 3.1.2-8" "3.1.0-2 3.2.0-2";
    v311 empty_id_without_clean_session_is_refused "C16" "3.1.3-7 3.1.3-8 3.1.3-9 3.2.2-4 3.2.2-5";
    v5 assigned_id_can_be_resumed "C16" "3.1.3-6 3.1.3-7 3.2.2-16";
    v5 assigned_ids_are_all_different "C17" "3.2.2-16 3.1.3-6";
    v311 clients_with_empty_ids_live_side_by_side "C17" "3.1.3-6";
    both stream_across_reconnects_arrives_exactly_once "C18" "3.1.2-5 4.3.3-1" "3.1.2-5 4.3.3-3";
    v5 backlog_is_delivered_though_the_session_now_ends "C02 U5-47" "3.1.2-5 4.1.0-2";
    both takeover_hands_the_backlog_on "C09" "3.1.4-2 3.1.2-4" "3.1.4-3 3.1.2-5";
    both persistent_then_clean_then_persistent "C22" "3.1.2-6" "3.1.2-4";
    both offline_session_gets_what_was_published "" "3.1.2-4 3.1.2-5 3.2.0-1 4.5.0-1" "3.1.2-5 3.2.0-1 4.5.0-1";
    both sessions_of_different_ids_never_mix "" "3.1.3-2" "3.1.3-2";
    both long_lived_connection_keeps_its_session "" "4.1.0-2" "4.1.0-1";
}

/// State exists: 1; no state: 0; a clean start throws it away.
fn session_present_tells_whether_state_exists(stage: &Stage<'_>) -> Check {
    let kept = stage.login("dev").keep();
    kept.open_with_session(false)?.disconnect();
    kept.open_with_session(true)?.cut();
    kept.open_with_session(true)?.disconnect();
    stage.login("dev").open_with_session(false)?.disconnect();
    kept.open_with_session(false)?.disconnect();
    Ok(())
}

/// Clean Start 0 with expiry 0: the subscription works while connected and is gone afterwards.
fn expiry_zero_ends_the_session_with_its_connection(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let login = stage.login("dev").clean(false);
    let mut device = login.open_with_session(false)?;
    device.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "live").qos(1))?;
    device.take_of("live")?;
    device.cut();
    publisher.deliver(&Message::new(&topic, "late").qos(1))?;
    login.open_with_session(false)?.quiet()
}

/// Clean Start 1 with expiry: the old subscription is gone, the new one outlives the connection.
fn clean_start_replaces_state_but_the_new_one_is_kept(stage: &Stage<'_>) -> Check {
    let (old, new) = (stage.topic("old"), stage.topic("new"));
    let kept = stage.login("dev").keep();
    let mut device = kept.open()?;
    device.subscribe(&old, 1)?;
    device.cut();
    let mut device = kept.clone().clean(true).open_with_session(false)?;
    device.subscribe(&new, 1)?;
    device.cut();
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&old, "old").qos(1))?;
    publisher.deliver(&Message::new(&new, "new").qos(1))?;
    let mut device = kept.open_with_session(true)?;
    device.take_of("new")?;
    device.quiet()
}

/// Expiry 1: after two seconds the session is gone.
fn session_ends_when_its_expiry_has_passed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let login = stage.login("dev").clean(false).expiry(1);
    let mut device = login.open_with_session(false)?;
    device.subscribe(&topic, 1)?;
    device.cut();
    stage.connect("pub")?.deliver(&Message::new(&topic, "queued").qos(1))?;
    stage.sleep_ms(2300);
    login.open_with_session(false)?.quiet()
}

/// 60 in CONNECT, 0 in DISCONNECT: gone at once.
fn disconnect_with_expiry_zero_ends_the_session(stage: &Stage<'_>) -> Check {
    let login = stage.login("dev").clean(false).expiry(60);
    login.open_with_session(false)?.leave(ReasonCode::Success, &[Property::SessionExpiryInterval(0)]);
    login.open_with_session(false)?.disconnect();
    Ok(())
}

/// 60 in CONNECT, nothing in DISCONNECT, in each of its short forms: kept.
fn disconnect_without_expiry_keeps_that_of_connect(stage: &Stage<'_>) -> Check {
    let login = stage.login("dev").clean(false).expiry(60);
    let mut device = login.open_with_session(false)?;
    for form in [&[0xE0, 0][..], &[0xE0, 1, 0], &[0xE0, 2, 0, 0]] {
        device.raw("DISCONNECT", form);
        device.expect_end()?;
        device = login.open_with_session(true)?;
    }
    Ok(())
}

/// 1 in CONNECT, 600 in DISCONNECT: still there after two seconds.
fn disconnect_raises_the_expiry(stage: &Stage<'_>) -> Check {
    let login = stage.login("dev").clean(false).expiry(1);
    login.open_with_session(false)?.leave(ReasonCode::Success, &[Property::SessionExpiryInterval(600)]);
    stage.sleep_ms(2300);
    login.open_with_session(true)?.disconnect();
    Ok(())
}

/// 600 in CONNECT, 1 in DISCONNECT: gone after two seconds.
fn disconnect_lowers_the_expiry(stage: &Stage<'_>) -> Check {
    let login = stage.login("dev").clean(false).expiry(600);
    login.open_with_session(false)?.leave(ReasonCode::Success, &[Property::SessionExpiryInterval(1)]);
    stage.sleep_ms(2300);
    login.open_with_session(false)?.disconnect();
    Ok(())
}

/// Nothing or 0 in CONNECT, 60 in DISCONNECT: 0x82, close, the will is published, and no session stays.
fn disconnect_cannot_raise_the_expiry_from_zero(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("will");
    let mut watcher = stage.subscriber("watcher", &topic, 1)?;
    let plain = stage.login("dev").clean(false).will(Message::new(&topic, "gone").qos(1));
    for login in [plain.clone(), plain.expiry(0)] {
        let mut device = login.open_with_session(false)?;
        device.raw("DISCONNECT with expiry 60", &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 60]);
        device.expect_close(0x82, &[])?;
        watcher.take_of("gone")?;
    }
    stage.login("dev").clean(false).open_with_session(false).map(drop)
}

/// A session goes from this version to the other and back: queue and subscription come along.
fn session_survives_a_change_of_version(stage: &Stage<'_>) -> Check {
    let other = if stage.v5() { Version::V311 } else { Version::V5 };
    let topic = stage.topic("a");
    let login = stage.login("dev").clean(false).expiry(30);
    let mut device = login.open_with_session(false)?;
    device.subscribe(&topic, 1)?;
    device.cut();
    let mut publisher = stage.login("pub").version(Version::V5).open()?;
    for (round, version) in [other, stage.version, other].into_iter().enumerate() {
        let payload = format!("round {round}");
        let message = Message::new(&topic, &payload).qos(1);
        publisher.deliver(&message.with(Property::UserProperty("k", "v")))?;
        let mut device = login.clone().version(version).open_with_session(true)?;
        let came = device.take_of(&payload)?;
        let expected = usize::from(version == Version::V5);
        same("number of user properties", &came.props().user_properties().count(), &expected)?;
        device.quiet()?;
        device.cut();
    }
    Ok(())
}

/// A connection is taken over in the middle of a burst: the new one gets all that the old one left open.
fn takeover_in_a_burst_loses_nothing(stage: &Stage<'_>) -> Check {
    const BURST: u64 = 500;
    let topic = stage.topic("a");
    let login = stage.login("dev").keep();
    let mut old = login.open()?;
    old.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let messages: Vec<Message> = (0..BURST).map(|n| Message::new(&topic, n.to_string())).collect();
            publisher.deliver_all(&messages)
        });
        for number in 0..20_u64 {
            old.message_of(number.to_string())?;
        }
        let mut new = login.open_with_session(true)?;
        let seen = 20 + messages_until_the_end(&mut old)?;
        for number in 0..BURST {
            let message = new.message_of(number.to_string())?;
            ensure(message.dup || number >= seen, "DUP 1 for what the old connection had seen", &message)?;
            new.puback(message.id);
        }
        new.quiet()?;
        joined(publishing.join())
    })
}

/// A clean start takes over in the middle of a burst: it never subscribed, so it gets nothing.
fn clean_takeover_in_a_burst_inherits_nothing(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    for _ in 0..5 {
        let mut old = stage.login("dev").keep().open()?;
        old.subscribe(&topic, 1)?;
        let burst: Vec<Message> = (1..=100).map(|id| Message::new(&topic, "old").qos(1).id(id)).collect();
        publisher.publish_all(&burst);
        let mut new = stage.login("dev").open_with_session(false)?;
        for message in &burst {
            publisher.expect_puback(message.id)?;
        }
        new.quiet()?;
    }
    Ok(())
}

/// After a takeover the old socket closes: the new session stays, its messages flow, and no second will fires.
fn late_end_of_the_old_socket_changes_nothing(stage: &Stage<'_>) -> Check {
    let (will, topic) = (stage.topic("will"), stage.topic("a"));
    let mut watcher = stage.subscriber("watcher", &will, 1)?;
    let old = stage.login("dev").keep().will(Message::new(&will, "old").qos(1)).open()?;
    let mut new =
        stage.login("dev").keep().will(Message::new(&will, "new").qos(1)).open_with_session(true)?;
    watcher.take_of("old")?;
    drop(old);
    stage.sleep_ms(200);
    watcher.quiet()?;
    new.subscribe(&topic, 1)?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "still here").qos(1))?;
    new.take_of("still here")?;
    new.disconnect();
    stage.login("dev").keep().open_with_session(true).map(drop)
}

/// Each version takes over connections of the other: 0x8E for 5.0, a close for 3.1.1, and the state moves along.
fn takeover_by_another_version(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    let login = stage.login("dev").keep();
    let mut device = login.open_with_session(false)?;
    device.subscribe(&topic, 1)?;
    for round in 0..6 {
        publisher.deliver(&Message::new(&topic, round.to_string()).qos(1))?;
        let held = device.message_of(round.to_string())?;
        let other = if device.v5() { Version::V311 } else { Version::V5 };
        let mut next = login.clone().version(other).open_with_session(true)?;
        device.expect_close(0x8E, &[])?;
        let again = next.take_of(round.to_string())?;
        ensure(again.dup && again.id == held.id, format!("id {} with DUP 1", held.id), &again)?;
        next.ping()?;
        device = next;
    }
    device.quiet()
}

/// Two devices with one id throw each other out thirty times: 0x8E each time, and nothing else suffers.
fn takeover_ping_pong_stays_healthy(stage: &Stage<'_>) -> Check {
    let mut bystander = stage.connect("bystander")?;
    let login = stage.login("dev");
    let mut device = login.open()?;
    for _ in 0..30 {
        let next = login.open()?;
        device.expect_close(0x8E, &[])?;
        device = next;
    }
    device.ping()?;
    bystander.quiet()
}

/// A CONNECT that is refused (5.0) or malformed (3.1.1) does not touch the connection of that id.
fn refused_connect_leaves_the_old_connection_alone(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut old = stage.login("dev").keep().open()?;
    old.subscribe(&topic, 1)?;
    if stage.v5() {
        let mut intruder =
            stage.login("dev").with(Property::AuthenticationMethod("NO-SUCH-METHOD")).knock()?;
        intruder.expect_refusal(0x8C, &[0x87], None)?;
    } else {
        let mut intruder = stage.dial("dev")?;
        let payload = craft::join(&[&craft::field(stage.client_id("dev")), &craft::field("secret")]);
        intruder
            .raw("CONNECT with password, without name", &craft::connect(stage.version, 0x42, &[], &payload));
        intruder.expect_end()?;
    }
    stage.connect("pub")?.deliver(&Message::new(&topic, "still here").qos(1))?;
    old.take_of("still here")?;
    old.quiet()
}

/// A second CONNECT: 0x82, close, no second CONNACK, and the will fires.
fn second_connect_on_one_link_closes(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("will");
    let mut watcher = stage.subscriber("watcher", &topic, 1)?;
    let login = stage.login("dev").will(Message::new(&topic, "gone").qos(1));
    let mut device = login.open()?;
    device.raw("CONNECT again", &login.bytes());
    device.expect_close(0x82, &[])?;
    watcher.take_of("gone").map(drop)
}

/// Empty id with clean session 0: CONNACK 0x02 and close.
fn empty_id_without_clean_session_is_refused(stage: &Stage<'_>) -> Check {
    let mut device = stage.login("dev").id("").clean(false).knock()?;
    device.expect_refusal(0x85, &[], Some(2))
}

/// Empty id with Clean Start 0: an id is assigned, and the session is resumed with it.
fn assigned_id_can_be_resumed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut device = stage.login("dev").id("").clean(false).expiry(60).open_with_session(false)?;
    let assigned = assigned_id(&device)?;
    device.subscribe(&topic, 1)?;
    device.cut();
    stage.connect("pub")?.deliver(&Message::new(&topic, "queued").qos(1))?;
    let mut device = stage.login("dev").id(&assigned).keep().open_with_session(true)?;
    device.take_of("queued").map(drop)
}

/// A thousand empty ids, fifty of them connected at a time: as many different assigned ids, none near the one before.
fn assigned_ids_are_all_different(stage: &Stage<'_>) -> Check {
    let mut ids = BTreeSet::new();
    let mut peers = Vec::new();
    let mut last = String::new();
    for _ in 0..1000 {
        let peer = stage.login("dev").id("").open()?;
        let id = assigned_id(&peer)?;
        let different = id.chars().zip(last.chars()).filter(|(a, b)| a != b).count();
        ensure(last.is_empty() || different >= 6, format!("an id not guessed from {last}"), &id)?;
        ensure(ids.insert(id.clone()), "an id never assigned before", &id)?;
        last = id;
        peers.push(peer);
        if peers.len() == 50 {
            peers.iter_mut().try_for_each(Peer::ping)?;
            peers.clear();
        }
    }
    Ok(())
}

/// Ten clients with empty ids are connected at once and all answer.
fn clients_with_empty_ids_live_side_by_side(stage: &Stage<'_>) -> Check {
    let mut peers = (0..10).map(|_| stage.login("dev").id("").open()).collect::<Check<Vec<_>>>()?;
    peers.iter_mut().try_for_each(Peer::ping)
}

/// A subscriber reconnects again and again under a stream of QoS 2: every message once and in order.
fn stream_across_reconnects_arrives_exactly_once(stage: &Stage<'_>) -> Check {
    const TOTAL: u64 = 400;
    let topic = stage.topic("a");
    let login = stage.login("sub").keep();
    let mut subscriber = login.open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut numbers = 0..TOTAL;
            numbers.try_for_each(|n| publisher.deliver(&Message::new(&topic, n.to_string()).qos(2)))
        });
        for number in 0..TOTAL {
            if number % 40 == 39 {
                subscriber.cut();
                subscriber = login.open_with_session(true)?;
            }
            let message = subscriber.take()?;
            same("number of the delivery", &message.number(), &number)?;
        }
        subscriber.quiet()?;
        joined(publishing.join())
    })
}

/// A kept session with a backlog returns with expiry 0: it gets the backlog and live messages in order, then ends.
fn backlog_is_delivered_though_the_session_now_ends(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut device = stage.login("dev").keep().open()?;
    device.subscribe(&topic, 1)?;
    device.cut();
    let mut publisher = stage.connect("pub")?;
    for number in 0..10 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
    }
    let short = stage.login("dev").clean(false).receive_maximum(2);
    let mut device = short.open_with_session(true)?;
    for number in 10..20 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
    }
    for number in 0..20_u64 {
        same("number of the delivery", &device.take()?.number(), &number)?;
    }
    device.cut();
    short.open_with_session(false)?.quiet()
}

/// Ten connections in a row take one session over, each after ten messages: one sequence without gap.
fn takeover_hands_the_backlog_on(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("dev").keep().receive_maximum(7);
    let mut device = kept.open()?;
    device.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    let messages: Vec<Message> = (0..100).map(|n| Message::new(&topic, n.to_string())).collect();
    publisher.deliver_all(&messages)?;
    for number in 0..100_u64 {
        if number % 10 == 9 {
            // What was acknowledged has arrived before the next connection does.
            device.ping()?;
            device = kept.open_with_session(true)?;
        }
        same("number of the delivery", &device.take()?.number(), &number)?;
    }
    device.quiet()
}

/// The subscription of a session that a clean one ended neither returns nor blocks a new one.
fn persistent_then_clean_then_persistent(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("dev").keep();
    let mut device = kept.open()?;
    device.subscribe(&topic, 1)?;
    device.disconnect();
    let mut clean = stage.login("dev").open_with_session(false)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "nobody").qos(1))?;
    clean.quiet()?;
    clean.disconnect();
    let mut device = kept.open_with_session(false)?;
    device.quiet()?;
    device.subscribe(&topic, 1)?;
    device.disconnect();
    publisher.deliver(&Message::new(&topic, "queued").qos(1))?;
    let mut device = kept.open_with_session(true)?;
    device.take_of("queued")?;
    device.quiet()
}

/// QoS 1 and 2 wait for an offline session and follow its CONNACK; QoS 0 may.
fn offline_session_gets_what_was_published(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("dev").keep();
    let mut device = kept.open()?;
    device.subscribe(&topic, 2)?;
    device.disconnect();
    let mut publisher = stage.connect("pub")?;
    for qos in 0..=2 {
        publisher.deliver(&Message::new(&topic, format!("qos {qos}")).qos(qos))?;
    }
    let mut device = kept.open_with_session(true)?;
    let came: Vec<(u8, String)> = device.take_all(2)?.iter().map(|m| (m.qos, m.text())).collect();
    let sure: Vec<_> = came.iter().filter(|(qos, _)| *qos > 0).cloned().collect();
    same("queued messages", &sure, &vec![(1, "qos 1".to_owned()), (2, "qos 2".to_owned())])
}

/// Ids with the same beginning, of one length or not, have their own subscriptions and queues.
fn sessions_of_different_ids_never_mix(stage: &Stage<'_>) -> Check {
    let logins: [Login<'_>; 3] = ["dev", "deva", "devb"].map(|name| stage.login(name).keep());
    let topics = ["one", "two", "three"].map(|name| stage.topic(name));
    for (login, topic) in logins.iter().zip(&topics) {
        let mut device = login.open_with_session(false)?;
        device.subscribe(topic, 1)?;
        device.cut();
    }
    let mut publisher = stage.connect("pub")?;
    for topic in &topics {
        publisher.deliver(&Message::new(topic, topic).qos(1))?;
    }
    for (login, topic) in logins.iter().zip(&topics) {
        let mut device = login.open_with_session(true)?;
        device.take_of(topic)?;
        device.quiet()?;
    }
    Ok(())
}

/// A connection that lasts longer than its session expiry keeps its subscriptions.
fn long_lived_connection_keeps_its_session(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut device = stage.login("dev").clean(false).expiry(1).open()?;
    device.subscribe(&topic, 1)?;
    device.quiet_for(Duration::from_millis(2500))?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "still here").qos(1))?;
    device.take_of("still here")?;
    stage.login("dev").clean(false).expiry(1).open_with_session(true).map(drop)
}

/// How many messages the old connection still shows before its end.
fn messages_until_the_end(old: &mut Peer) -> Check<u64> {
    let mut count = 0;
    loop {
        match old.next()? {
            Arrival::Publish(_) => count += 1,
            Arrival::Disconnect(reason) if reason.code == 0x8E => {}
            Arrival::Closed => return Ok(count),
            other => return Err(old.differs("PUBLISHes, then the end of a connection taken over", other)),
        }
    }
}

fn assigned_id(peer: &Peer) -> Check<String> {
    let assigned = peer.connack.properties.as_properties().assigned_client_identifier();
    let assigned = assigned.filter(|id| !id.is_empty()).map(str::to_owned);
    assigned.ok_or_else(|| peer.differs("an Assigned Client Identifier", "none"))
}
