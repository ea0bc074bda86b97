//! MQTT 3.1, the version before 3.1.1: protocol name `MQIsdp`, level 3. A broker that accepts it serves it as 3.1.1, and
//! CONNACK has no session present then. Scenes do not apply where the broker refuses the level.

use longwire_proto::Version;
use longwire_proto::property::Property;

use super::scenes;
use crate::craft::{self, connect_named, field, frame};
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::{Login, Stage};

scenes! {
    v311 connect_of_3_1_is_answered "I15" "3.1.2-1 3.1.4-4 3.2.0-1";
    v311 messages_of_3_1_flow_at_each_qos "" "3.8.4-6 3.3.4-1 4.3.2-2 4.3.3-2";
    v311 session_of_3_1_is_kept "C08" "3.1.2-4 3.1.2-5 3.1.2-6 3.3.1-1";
    v311 will_of_3_1_is_published "" "3.1.2-8 3.1.2-10 3.14.4-3";
    v311 takeover_among_all_versions "C08 I09" "3.1.4-2";
    v311 refusals_of_3_1_are_those_of_3_1_1 "I09" "3.8.4-5 3.9.3-2 4.8.0-1";
    v311 connects_of_3_1_that_are_refused "C16 I10" "3.1.4-1 3.2.2-5";
}

/// Name `MQIsdp` and level 3: CONNACK `00 00`, and the link works.
fn connect_of_3_1_is_answered(stage: &Stage<'_>) -> Check {
    old(stage, "asks")?;
    for clean in [0, 2] {
        let mut client = stage.dial("client")?;
        client.raw(
            "CONNECT of 3.1",
            &connect_named("MQIsdp", 3, clean, &[], &field(stage.client_id("client"))),
        );
        client.expect_bytes(&[0x20, 2, 0, 0])?;
        client.raw("PINGREQ", &[0xC0, 0]);
        client.expect_bytes(&[0xD0, 0])?;
        client.raw("DISCONNECT", &[0xE0, 0]);
        client.expect_end()?;
    }
    stage.login("client").open()?.disconnect();
    Ok(())
}

/// Between 3.1 and each version, in both directions, at each QoS, retained ones too; properties stay behind.
fn messages_of_3_1_flow_at_each_qos(stage: &Stage<'_>) -> Check {
    let mut older = old(stage, "older")?;
    for version in [Version::V31, Version::V311, Version::V5] {
        let topic = stage.topic(&format!("{version:?}"));
        let mut other = stage.login("other").version(version).open()?;
        for granted in 0..=2 {
            older.subscribe(&topic, granted)?;
            other.subscribe(&topic, granted)?;
            for qos in 0..=2_u8 {
                let message = Message::new(&topic, "x").qos(qos).with(Property::ContentType("text/plain"));
                older.deliver(&message)?;
                is_plain(&older.take_of("x")?, qos.min(granted))?;
                same("QoS", &other.take_of("x")?.qos, &qos.min(granted))?;
                other.deliver(&message)?;
                is_plain(&older.take_of("x")?, qos.min(granted))?;
                same("QoS", &other.take_of("x")?.qos, &qos.min(granted))?;
            }
        }
        other.deliver(&Message::new(&topic, "kept").qos(1).retain())?;
        ensure(!older.take_of("kept")?.retain, "RETAIN 0 for an established subscription", "RETAIN 1")?;
        older.unsubscribe(&topic)?;
        older.subscribe(&topic, 1)?;
        ensure(older.take_of("kept")?.retain, "RETAIN 1 for a new subscription", "RETAIN 0")?;
        older.quiet()?;
    }
    Ok(())
}

/// A session of 3.1: subscriptions, what was queued and what was open come back; a clean one ends it.
fn session_of_3_1_is_kept(stage: &Stage<'_>) -> Check {
    old(stage, "asks")?;
    let topic = stage.topic("a");
    let kept = login(stage, "dev").keep();
    let mut device = kept.open()?;
    device.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "open").qos(2))?;
    let open = device.message_of("open")?;
    device.cut();
    publisher.deliver(&Message::new(&topic, "queued").qos(1))?;
    let mut device = kept.open()?;
    ensure(!device.connack.session_present, "a zero byte, for 3.1 has no session present", "1")?;
    same("the same PUBLISH with DUP 1:", &device.take_of("open")?, &open.dup())?;
    device.take_of("queued")?;
    device.quiet()?;
    device.cut();
    login(stage, "dev").open()?.disconnect();
    publisher.deliver(&Message::new(&topic, "nobody").qos(1))?;
    stage.login("dev").keep().open_with_session(false)?.quiet()
}

/// A will of 3.1: after a break and after a protocol error, not after DISCONNECT.
fn will_of_3_1_is_published(stage: &Stage<'_>) -> Check {
    old(stage, "asks")?;
    let topic = stage.topic("will");
    let mut watcher = stage.subscriber("watcher", &topic, 2)?;
    let with_will = login(stage, "dev").will(Message::new(&topic, "gone").qos(2));
    with_will.open()?.disconnect();
    watcher.quiet()?;
    with_will.open()?.cut();
    same("QoS", &watcher.take_of("gone")?.qos, &2)?;
    let mut device = with_will.open()?;
    device.raw("PUBLISH QoS 3", &craft::publish(Version::V31, 6, b"a", Some(1), &[], b""));
    device.expect_end()?;
    watcher.take_of("gone")?;
    watcher.quiet()
}

/// 3.1, 3.1.1 and 5.0 take one session over from each other: a bare close before 5.0, and the message goes along.
fn takeover_among_all_versions(stage: &Stage<'_>) -> Check {
    old(stage, "asks")?;
    let topic = stage.topic("a");
    let mut device = login(stage, "dev").keep().open()?;
    device.subscribe(&topic, 1)?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "x").qos(1))?;
    let held = device.message_of("x")?;
    for version in [Version::V5, Version::V31, Version::V311, Version::V31, Version::V5] {
        let mut next = stage.login("dev").keep().version(version).open()?;
        device.expect_close(0x8E, &[])?;
        let again = next.message_of("x")?;
        ensure(again.dup && again.id == held.id, format!("id {} with DUP 1", held.id), &again)?;
        device = next;
    }
    device.puback(held.id);
    device.quiet()
}

/// Answers have the form of 3.1.1: bare acknowledgements, code 0x80, and a close without a word.
fn refusals_of_3_1_are_those_of_3_1_1(stage: &Stage<'_>) -> Check {
    let mut client = old(stage, "client")?;
    client.raw("UNSUBSCRIBE", &craft::unsubscribe(Version::V31, &[], b"unknown"));
    client.expect_bytes(&[0xB0, 2, 0, 1])?;
    if !stage.settings.lenient {
        let deep = "x/".repeat(300);
        client.raw("SUBSCRIBE", &craft::subscribe(Version::V31, &[], deep.as_bytes(), 1));
        client.expect_bytes(&[0x90, 3, 0, 1, 0x80])?;
    }
    client.raw("PUBREL for an unknown id", &[0x62, 2, 0, 9]);
    client.expect_bytes(&[0x70, 2, 0, 9])?;
    client.raw("packet type 15", &[0xF0, 0]);
    client.expect_end()
}

/// A CONNECT of 3.1 that is malformed, or comes too late: a close. By choice, as 3.1 is silent there: no client id gets
/// CONNACK 0x02, and the flag bit that 3.1 does not use must be 0.
fn connects_of_3_1_that_are_refused(stage: &Stage<'_>) -> Check {
    old(stage, "asks")?;
    let connect = |flags, payload: &[u8]| connect_named("MQIsdp", 3, flags, &[], payload);
    let mut packets = vec![connect(2, &[0, 9, b'x']), connect(2, &[0, 1, b'x', 0]), frame(0xC0, &[])];
    if !stage.settings.lenient {
        login(stage, "client").id("").knock()?.expect_refusal(0x85, &[], Some(2))?;
        packets.push(connect(3, &field("x")));
    }
    for packet in packets {
        let mut client = stage.dial("client")?;
        client.raw("a first packet that is not a good CONNECT", &packet);
        client.expect_end()?;
    }
    Ok(())
}

/// A message as it came at this QoS, without anything that only 5.0 has.
fn is_plain(came: &Message, qos: u8) -> Check {
    same("QoS", &came.qos, &qos)?;
    ensure(came.props().is_empty() && !came.dup && !came.retain, "DUP 0, RETAIN 0, no property", came)
}

fn login<'a>(stage: &'a Stage<'_>, name: &str) -> Login<'a> {
    stage.login(name).version(Version::V31)
}

/// A connected client that speaks 3.1; the scene does not apply where the broker does not.
fn old(stage: &Stage<'_>, name: &str) -> Check<Peer> {
    let mut client = login(stage, name).knock()?;
    match client.next()? {
        Arrival::ConnAck(connack) if connack.code == 0 => Ok(client),
        Arrival::ConnAck(connack) if connack.code == 1 => {
            client.expect_end()?;
            Err(Failure::NotApplicable("the broker does not speak MQTT 3.1".to_owned()))
        }
        other => Err(client.differs("CONNACK code 0x00, or 0x01", other)),
    }
}
