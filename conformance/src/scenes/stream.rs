//! The byte stream of a connection: packets in any pieces, its end, and what one connection does to others. Hard
//! cases I07, I09 and I11.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::scenes;
use crate::craft::{self, frame, join};
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, Message};
use crate::stage::Stage;

scenes! {
    both refused_publish_keeps_the_link "I11 U5-58" "3.3.5-2" "3.4.2-1 3.5.2-1";
    both malformed_packet_harms_nobody_else "" "4.8.0-1" "4.13.1-1";
    both closing_does_not_wait_for_a_peer_that_does_not_read "I14 D15" "3.1.2-24 3.1.4-2" "4.13.2-1 3.1.2-22 3.1.4-3";
    both nothing_of_a_malformed_publish_takes_effect "" "3.3.1-4 2.3.1-1 4.8.0-1" "3.3.1-4 2.2.1-3 4.13.1-1";
    both nothing_of_a_malformed_unsubscribe_takes_effect "F10" "3.10.3-1 3.10.4-1" "3.10.3-1 3.10.4-1";
    both thousands_of_packets_in_one_segment "I07" "3.12.4-1" "3.12.4-1";
    both packets_may_be_split_anywhere "U5-61" "4.3.3-2" "4.3.3-10";
    both everything_before_disconnect_is_processed "" "3.14.4-2 4.5.0-1" "3.14.4-1 4.5.0-1";
    both nothing_after_disconnect_is_processed "" "3.14.4-2" "3.14.4-1";
    v311 only_packets_of_3_1_1_are_seen "I09" "3.9.3-2";
}

/// A publish that is not allowed: its acknowledgement says so (5.0) or says nothing, and the link stays.
fn refused_publish_keeps_the_link(stage: &Stage<'_>) -> Check {
    let refused = stage.shared("g", "a");
    let good = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &good, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(&refused, "x"));
    publisher.publish(&Message::new(&refused, "x").qos(1).id(1));
    let code = if stage.v5() { 0x90 } else { 0 };
    publisher.expect(format_args!("PUBACK id 1 code 0x{code:02X}"), |arrival| match arrival {
        Arrival::PubAck(ack) if ack.id == 1 && ack.code == code => Some(()),
        _ => None,
    })?;
    publisher.deliver(&Message::new(&good, "good").qos(1))?;
    subscriber.take_of("good")?;
    subscriber.quiet()
}

/// One client breaks the rules and is closed; two others do not notice.
fn malformed_packet_harms_nobody_else(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for packet in [&[0x00, 0][..], &[0x36, 2, 0, 0], &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] {
        let mut broken = stage.connect("broken")?;
        broken.raw("a malformed packet", packet);
        broken.closes_within(Duration::from_secs(5))?;
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        subscriber.take_of("x")?;
    }
    Ok(())
}

/// PUBLISHes with RETAIN of which one thing is wrong, at the end where it can be: nobody gets them, now or later.
fn nothing_of_a_malformed_publish_takes_effect(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let publish = |flags, id, properties: &[u8]| {
        craft::publish(stage.version, flags, &topic, id, properties, "malformed")
    };
    let mut packets =
        vec![publish(0x07, Some(1), &[]), publish(0x03, Some(0), &[]), publish(0x05, Some(0), &[])];
    if stage.v5() {
        let wrong: [&[u8]; 5] = [
            &[0x0B, 1],
            &[0x23, 0, 0],
            &[0x02, 0, 0, 0, 9, 0x7F, 0],
            &[0x01, 1, 0x01, 1],
            &[0x08, 0, 1, b'#'],
        ];
        packets.extend(wrong.map(|properties| publish(0x01, None, properties)));
    }
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    for packet in packets {
        let mut publisher = stage.connect("pub")?;
        publisher.leaves_retained(&topic);
        publisher.raw("a malformed PUBLISH", &packet);
        publisher.closes_within(Duration::from_secs(5))?;
    }
    subscriber.quiet()?;
    stage.subscriber("late", &topic, 2)?.quiet()
}

/// A good filter and a malformed one in one UNSUBSCRIBE of a kept session: the subscription is still there.
fn nothing_of_a_malformed_unsubscribe_takes_effect(stage: &Stage<'_>) -> Check {
    if stage.settings.lenient {
        return Err(Failure::NotApplicable("the standard leaves the choice".to_owned()));
    }
    let topic = stage.topic("a");
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&topic, 1)?;
    let filters = join(&[&craft::field(&topic), &craft::field("a/#/b")]);
    let body = join(&[&[0, 1], &craft::properties(stage.version, &[]), &filters]);
    subscriber.raw("UNSUBSCRIBE from a good filter and a malformed one", &frame(0xA2, &body));
    subscriber.expect_close(0x81, &[0x82, 0x8F])?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "still").qos(1))?;
    kept.open_with_session(true)?.take_of("still").map(drop)
}

/// Two clients read nothing until their sockets are full. One is silent beyond its keep-alive, the other is taken over:
/// both wills are published, and each connection ends, whether or not DISCONNECT could still be sent.
fn closing_does_not_wait_for_a_peer_that_does_not_read(stage: &Stage<'_>) -> Check {
    let (topic, will) = (stage.topic("a"), stage.topic("will"));
    let mut watcher = stage.subscriber("watcher", &will, 1)?;
    let deaf = |name, secs| {
        stage.login(name).keep_alive(secs).will(Message::new(&will, name).qos(1)).open().and_then(
            |mut peer| {
                peer.subscribe(&topic, 0)?;
                Ok(peer)
            },
        )
    };
    let (mut silent, mut replaced) = (deaf("silent", 1)?, deaf("replaced", 60)?);
    let mut publisher = stage.connect("pub")?;
    for _ in 0..1000 {
        publisher.publish(&Message::new(&topic, [b'x'; 10_000]));
    }
    publisher.ping()?;
    let mut new = stage.login("replaced").open()?;
    let wills: BTreeSet<String> = [watcher.take()?.text(), watcher.take()?.text()].into();
    same("wills", &wills, &["silent".to_owned(), "replaced".to_owned()].into())?;
    silent.closes_within(Duration::from_secs(8))?;
    replaced.closes_within(Duration::from_secs(8))?;
    new.quiet()?;
    watcher.quiet()
}

/// 5,000 PINGREQs and PUBLISHes in one write are all answered, and others are served meanwhile.
fn thousands_of_packets_in_one_segment(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut other = stage.connect("other")?;
    let mut client = stage.subscriber("client", &topic, 0)?;
    let mut bytes = Vec::new();
    for number in 0..2500 {
        bytes.extend([0xC0, 0]);
        let payload = number.to_string();
        bytes.extend(craft::publish(stage.version, 0, topic.as_bytes(), None, &[], payload.as_bytes()));
    }
    client.raw("2,500 PINGREQs and PUBLISHes", &bytes);
    let start = Instant::now();
    other.ping()?;
    ensure(start.elapsed() < Duration::from_secs(2), "PINGRESP for others within 2 s", "it took longer")?;
    for _ in 0..2500 {
        client.wait("PINGRESP", |arrival| (*arrival == Arrival::PingResp).then_some(()))?;
    }
    for number in 0..2500 {
        client.take_of(number.to_string())?;
    }
    client.quiet()
}

/// CONNECT, SUBSCRIBE and a hundred messages in pieces of 1 to 13 bytes: as good as in one.
fn packets_may_be_split_anywhere(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let subscribe = craft::subscribe(stage.version, &[], topic.as_bytes(), 0);
    let mut bytes = join(&[&stage.login("client").bytes(), &subscribe]);
    for number in 0..100_u16 {
        let payload = number.to_string();
        let id = 100 + number;
        bytes.extend(craft::publish(stage.version, 4, topic.as_bytes(), Some(id), &[], payload.as_bytes()));
        bytes.extend(frame(0x62, &id.to_be_bytes()));
    }
    let mut client = stage.dial("client")?;
    let mut rest = &bytes[..];
    for len in (1..=13).cycle() {
        let (piece, tail) = rest.split_at(rest.len().min(len));
        client.raw("a piece", piece);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    client.expect_connack()?;
    client.wait("SUBACK", |arrival| matches!(arrival, Arrival::SubAck(_)).then_some(()))?;
    for id in 100..200 {
        client.expect_pubrec(id)?;
        client.expect_pubcomp(id)?;
    }
    for number in 0..100 {
        client.take_of(number.to_string())?;
    }
    client.quiet()
}

/// 200 messages of every QoS, DISCONNECT and the end of the stream in one write: every message is delivered.
fn everything_before_disconnect_is_processed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    // A broker may bound open QoS 2 flows, and one that delivers at PUBREL has only the other two thirds.
    let (count, sure) = if stage.settings.lenient { (30_u16, 20) } else { (200, 200) };
    for round in 0..5 {
        let mut publisher = stage.connect("pub")?;
        let mut bytes = Vec::new();
        for number in 0..count {
            let qos = (number % 3) as u8;
            let id = (qos > 0).then_some(number + 1);
            let payload = format!("{round}");
            let (version, topic) = (stage.version, topic.as_bytes());
            bytes.extend(craft::publish(version, qos << 1, topic, id, &[], payload.as_bytes()));
        }
        bytes.extend([0xE0, 0]);
        publisher.raw("messages and DISCONNECT", &bytes);
        publisher.stop_sending();
        for _ in 0..sure {
            subscriber.take_of(round.to_string())?;
        }
        subscriber.quiet_for(Duration::from_millis(50))?;
    }
    Ok(())
}

/// A PUBLISH in the same segment behind DISCONNECT is thrown away.
fn nothing_after_disconnect_is_processed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    let late = craft::publish(stage.version, 2, topic.as_bytes(), Some(1), &[], b"late");
    publisher.raw("DISCONNECT and a PUBLISH behind it", &join(&[&[0xE0, 0], &late]));
    publisher.expect_end()?;
    subscriber.quiet()
}

/// Takeover, refusals and the death of a 3.1.1 connection show no DISCONNECT, no 5.0 code and no property.
fn only_packets_of_3_1_1_are_seen(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("client")?;
    client.raw("UNSUBSCRIBE", &craft::unsubscribe(stage.version, &[], b"unknown"));
    client.expect_bytes(&[0xB0, 2, 0, 1])?;
    client.raw("SUBSCRIBE", &craft::subscribe(stage.version, &[], "x/".repeat(300).as_bytes(), 1));
    client.expect_bytes(&[0x90, 3, 0, 1, 0x80])?;
    client.raw("PUBLISH", &craft::publish(stage.version, 2, b"$share/g/a", Some(1), &[], b"x"));
    client.expect_bytes(&[0x40, 2, 0, 1])?;
    client.raw("PUBREL for an unknown id", &[0x62, 2, 0, 9]);
    client.expect_bytes(&[0x70, 2, 0, 9])?;
    let _new = stage.connect("client")?;
    client.expect_end()
}
