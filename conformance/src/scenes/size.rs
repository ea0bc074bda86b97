//! Packet sizes in both directions, payloads of every size, and what is left out to fit. Hard cases H07 to H10, H19, H21.

use std::time::Duration;

use longwire_proto::property::Property;

use super::scenes;
use crate::craft;
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    v5 too_large_for_the_subscriber_is_dropped "H07" "3.1.2-24 3.1.2-25";
    v5 too_large_in_a_backlog_is_dropped "H07" "3.1.2-24 3.1.2-25";
    v5 too_large_to_be_sent_again_is_done "H07" "3.1.2-24 3.1.2-25";
    v5 packet_size_counts_every_byte_on_the_way_out "H08" "3.1.2-24";
    both packet_size_counts_every_byte_on_the_way_in "H08" "4.8.0-1" "3.2.2-15";
    v5 connack_fits_the_limit_of_the_client "H09" "3.2.2-19 3.2.2-20 3.1.2-24";
    both too_large_is_refused_before_its_body "H10" "4.8.0-1" "3.2.2-15";
    both reader_that_pauses_loses_nothing "H19" "4.5.0-1" "4.5.0-1";
    both qos_0_for_a_reader_that_pauses_is_not_hoarded "H18 H19" "4.6.0-6" "4.6.0-5";
    both payloads_of_every_size_arrive_whole "" "4.5.0-1" "4.5.0-1";
    both large_messages_reach_a_reader_that_pauses "H19" "4.5.0-1" "4.5.0-1";
    v5 no_explanations_when_not_asked_for "H21" "3.1.2-29";
    v5 explanations_fit_the_limit_of_the_client "" "3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 3.14.2-3 3.14.2-4";
    v5 no_response_information_when_not_asked_for "" "3.1.2-28 4.12.0-6";
}

/// Receive Maximum 1 and a limit of 100 bytes: what is larger takes no slot, what follows flows.
fn too_large_for_the_subscriber_is_dropped(stage: &Stage<'_>) -> Check {
    let limits = stage.login("sub").receive_maximum(1).with(Property::MaximumPacketSize(100));
    let mut subscriber = limits.open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in [1, 2, 0] {
        publisher.deliver(&Message::new(stage.topic("a"), [b'x'; 200]).qos(qos))?;
        publisher.deliver(&Message::new(stage.topic("a"), "small").qos(qos))?;
        subscriber.take_of("small")?;
    }
    let many = (0..20).fold(Message::new(stage.topic("a"), "props").qos(1), |message, _| {
        message.with(Property::UserProperty("name", "value"))
    });
    publisher.deliver(&many)?;
    subscriber.quiet()
}

/// Small and large messages wait for a session that comes back with a limit of 100 bytes: the small ones come, in order.
fn too_large_in_a_backlog_is_dropped(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep().receive_maximum(1);
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    subscriber.cut();
    let mut publisher = stage.connect("pub")?;
    for (number, qos) in (0..6_u64).zip([1, 2].into_iter().cycle()) {
        publisher.deliver(&Message::new(stage.topic("a"), [b'x'; 200]).qos(qos))?;
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(qos))?;
    }
    let limited = kept.clone().with(Property::MaximumPacketSize(100));
    let mut subscriber = limited.open_with_session(true)?;
    for number in 0..6_u64 {
        subscriber.take_of(number.to_string())?;
    }
    subscriber.quiet()?;
    subscriber.cut();
    kept.open_with_session(true)?.quiet()
}

/// Large deliveries are open when their session comes back with a limit of 100 bytes: they are not sent, their slots are
/// free, and one whose PUBREC has gone is finished.
fn too_large_to_be_sent_again_is_done(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("sub").keep().receive_maximum(3);
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in [1, 2, 2] {
        publisher.deliver(&Message::new(&topic, [b'x'; 200]).qos(qos))?;
    }
    publisher.deliver(&Message::new(&topic, "small").qos(2))?;
    for _ in 0..2 {
        subscriber.message()?;
    }
    let released = subscriber.message()?.id;
    subscriber.pubrec(released);
    subscriber.expect_pubrel(released)?;
    subscriber.cut();
    let limited = stage.login("sub").keep().receive_maximum(3).with(Property::MaximumPacketSize(100));
    let mut subscriber = limited.open_with_session(true)?;
    subscriber.expect_pubrel(released)?;
    subscriber.pubcomp(released);
    subscriber.take_of("small")?;
    for number in 0..4 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
        subscriber.take_of(number.to_string())?;
    }
    let largest = subscriber.largest_packet();
    ensure(largest <= 100, "packets of at most 100 bytes", largest)?;
    subscriber.quiet()
}

/// A PUBLISH of exactly the client's limit is delivered, one byte more is not; limits around length sizes.
fn packet_size_counts_every_byte_on_the_way_out(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    for limit in [100, 129, 130, 131, 200, 16_386, 16_387, 16_388, 16_389] {
        let mut subscriber = stage.login("sub").with(Property::MaximumPacketSize(limit)).open()?;
        subscriber.subscribe(&topic, 0)?;
        let fits = message_of_size(&publisher, &topic, limit as usize);
        let mut over = fits.clone();
        over.payload.push(b'y');
        publisher.publish_all([&over, &fits]);
        subscriber.take_of(&fits.payload)?;
        let largest = subscriber.largest_packet();
        ensure(largest <= limit as usize, format!("packets of at most {limit} bytes"), largest)?;
        subscriber.quiet_for(Duration::from_millis(20))?;
    }
    Ok(())
}

/// A PUBLISH of exactly the broker's limit is taken, one byte more closes, in 5.0 with 0x95.
fn packet_size_counts_every_byte_on_the_way_in(stage: &Stage<'_>) -> Check {
    let limit = announced_packet_size(stage)?;
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    let mut fits = message_of_size(&publisher, &topic, limit);
    publisher.publish(&fits);
    publisher.ping()?;
    fits.payload.push(b'y');
    publisher.publish(&fits);
    publisher.expect_close(0x95, &[])
}

/// CONNACK with a limit of 20 bytes, with an assigned id, and in a refusal: it fits, or the broker closes.
fn connack_fits_the_limit_of_the_client(stage: &Stage<'_>) -> Check {
    let limited = stage.login("client").with(Property::MaximumPacketSize(20));
    let refused = limited.clone().with(Property::AuthenticationMethod("NO-SUCH-METHOD"));
    for login in [limited.clone(), limited.id(""), refused] {
        let mut client = login.knock()?;
        let came = client.next()?;
        ensure(client.largest_packet() <= 20, "packets of at most 20 bytes", &came)?;
        let fair = matches!(&came, Arrival::Closed | Arrival::ConnAck(_));
        ensure(fair, "CONNACK that fits, or a close", &came)?;
    }
    Ok(())
}

/// The length bytes alone tell that a packet is too large: refused before its body arrives.
fn too_large_is_refused_before_its_body(stage: &Stage<'_>) -> Check {
    let limit = announced_packet_size(stage)?;
    let mut client = stage.connect("client")?;
    let header = craft::join(&[&[0x30], &craft::length(limit + 1)]);
    client.raw("the first bytes of a PUBLISH that is too large", &header);
    client.expect_close(0x95, &[])
}

/// A kept subscriber does not read while 4 MB arrive for it: afterwards nothing is missing.
fn reader_that_pauses_loses_nothing(stage: &Stage<'_>) -> Check {
    const TOTAL: u64 = 4_000;
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let filler = "x".repeat(1000);
    for first in (0..TOTAL).step_by(100) {
        let batch: Vec<Message> = (first..first + 100)
            .map(|n| Message::new(stage.topic("a"), format!("{n}")).with(Property::ContentType(&filler)))
            .map(|message| if stage.v5() { message } else { padded(message, 1000) })
            .collect();
        publisher.deliver_all(&batch)?;
    }
    for number in 0..TOTAL {
        let came = subscriber.take()?;
        let text = came.text();
        same("number of the delivery", &text.trim_end(), &number.to_string().as_str())?;
    }
    subscriber.quiet()
}

/// 20 MB of QoS 0 for a reader that pauses, and others are served meanwhile. Some of it may be gone, but what comes is in
/// order, and what is published afterwards comes again.
fn qos_0_for_a_reader_that_pauses_is_not_hoarded(stage: &Stage<'_>) -> Check {
    const TOTAL: u64 = 2_000;
    let topic = stage.topic("a");
    let mut pausing = stage.subscriber("pausing", &topic, 0)?;
    let mut other = stage.subscriber("other", &stage.topic("b"), 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..TOTAL {
        publisher.publish(&padded(Message::new(&topic, number.to_string()), 10_000));
        if number % 100 == 99 {
            publisher.deliver(&Message::new(stage.topic("b"), "served").qos(1))?;
            other.take_of("served")?;
        }
    }
    let mut last = None;
    while let Arrival::Publish(message) = pausing.next_within(Duration::from_millis(300))? {
        let number = message.text().trim_end().parse::<u64>().ok();
        ensure(
            number > last && message.payload.len() == 10_000,
            format!("a number above {last:?}"),
            &message,
        )?;
        last = number;
    }
    ensure(last.is_some(), "some of the messages", "none")?;
    publisher.publish(&Message::new(&topic, "afterwards"));
    pausing.take_of("afterwards")?;
    pausing.quiet()
}

/// Payloads from nothing to 1.9 MB, at each QoS, to three subscribers: every byte arrives.
fn payloads_of_every_size_arrive_whole(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscribers = Vec::new();
    for qos in 0..=2 {
        subscribers.push(stage.subscriber(&format!("sub{qos}"), &topic, qos)?);
    }
    let mut publisher = stage.connect("pub")?;
    for size in [0, 1, 120, 128, 1000, 1024, 1025, 4096, 16_384, 65_536, 300_000, 1_900_000] {
        for qos in 0..=2 {
            let payload = pattern(size, qos);
            publisher.deliver(&Message::new(&topic, &payload).qos(qos))?;
            for subscriber in &mut subscribers {
                let came = subscriber.take()?;
                ensure(came.payload == payload, format!("{size} bytes as they were sent"), &came)?;
            }
        }
    }
    Ok(())
}

/// Twenty messages of 500,000 bytes for a reader that starts late, small ones between them: all whole, in order.
fn large_messages_reach_a_reader_that_pauses(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..20 {
        publisher.deliver(&Message::new(&topic, pattern(500_000, number)).qos(1))?;
        publisher.deliver(&Message::new(&topic, [number]).qos(1))?;
    }
    for number in 0..20 {
        for payload in [pattern(500_000, number), vec![number]] {
            let came = subscriber.take()?;
            ensure(came.payload == payload, format!("message {number} as it was sent"), &came)?;
        }
    }
    subscriber.quiet()
}

/// Bytes in which a hole or a shift would show.
fn pattern(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 ^ (at / 251) as u8 ^ seed).collect()
}

/// Request Problem Information 0: no reason strings or user properties in acknowledgements; PUBLISH keeps its own.
fn no_explanations_when_not_asked_for(stage: &Stage<'_>) -> Check {
    let login = stage.login("client").with(Property::RequestProblemInformation(false));
    let mut client = login.open()?;
    for came in provoke_refusals(stage, &mut client)? {
        ensure(explanations(&came) == 0, "no reason string and no user property", &came)?;
    }
    client.subscribe(&stage.topic("a"), 1)?;
    let message = Message::new(stage.topic("a"), "x").qos(1).with(Property::UserProperty("k", "v"));
    stage.connect("pub")?.deliver(&message)?;
    same("user properties of the PUBLISH", &client.take_of("x")?.props().user_properties().count(), &1)
}

/// A client that takes 40 bytes: no refusal is larger, not even the DISCONNECT.
fn explanations_fit_the_limit_of_the_client(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("client").with(Property::MaximumPacketSize(40)).open()?;
    provoke_refusals(stage, &mut client)?;
    client.raw("PUBLISH QoS 3", &craft::publish(stage.version, 6, b"a", Some(1), &[], b""));
    client.expect_close(0x81, &[])?;
    let largest = client.largest_packet();
    ensure(largest <= 40, "packets of at most 40 bytes", largest)
}

/// Request Response Information absent or 0, no authentication: CONNACK has neither of their properties.
fn no_response_information_when_not_asked_for(stage: &Stage<'_>) -> Check {
    let plain = stage.login("client");
    for login in [plain.clone(), plain.with(Property::RequestResponseInformation(false))] {
        let client = login.open()?;
        let props = client.connack.properties.as_properties();
        let none = props.response_information().is_none() && props.authentication_method().is_none();
        ensure(none, "no response information, no authentication method", "one of them")?;
    }
    Ok(())
}

/// PUBACK 0x90, PUBREC 0x90, SUBACK 0x8F, UNSUBACK 0x11, PUBREL 0x92 and PUBCOMP 0x92, as they came.
fn provoke_refusals(stage: &Stage<'_>, client: &mut Peer) -> Check<Vec<Arrival>> {
    let bad = stage.shared("g", "a");
    client.publish(&Message::new(&bad, "x").qos(1).id(1));
    client.publish(&Message::new(&bad, "x").qos(2).id(2));
    client.ask_to_subscribe(3, &[(&"x/".repeat(300), options(1))], &[]);
    client.raw("UNSUBSCRIBE", &craft::unsubscribe(stage.version, &[], b"unknown"));
    client.pubrec(701);
    client.pubrel(702);
    (0..6).map(|_| client.next()).collect()
}

fn explanations(arrival: &Arrival) -> usize {
    let properties = match arrival {
        Arrival::PubAck(ack) | Arrival::PubRec(ack) | Arrival::PubRel(ack) | Arrival::PubComp(ack) => {
            &ack.properties
        }
        Arrival::SubAck(grants) | Arrival::UnsubAck(grants) => &grants.properties,
        _ => return usize::MAX,
    };
    let props = properties.as_properties();
    props.user_properties().count() + usize::from(props.reason_string().is_some())
}

fn padded(mut message: Message, len: usize) -> Message {
    message.payload.resize(len, b' ');
    message
}

/// A QoS 0 message whose packet has exactly this size, or one byte less where no packet has it.
fn message_of_size(peer: &Peer, topic: &str, size: usize) -> Message {
    let mut message = Message::new(topic, "");
    while peer.encoded(&message).len() + 8 < size {
        let missing = size - peer.encoded(&message).len() - 8;
        message.payload.resize(message.payload.len() + missing.max(1), b'x');
    }
    loop {
        message.payload.push(b'x');
        if peer.encoded(&message).len() > size {
            message.payload.pop();
            return message;
        }
    }
}

/// The largest packet that the broker takes; 3.1.1 has no way to announce it, so 5.0 is asked.
fn announced_packet_size(stage: &Stage<'_>) -> Check<usize> {
    let peer = stage.login("asks").version(longwire_proto::Version::V5).open()?;
    let limit = peer.connack.properties.as_properties().maximum_packet_size();
    limit
        .map(|limit| limit as usize)
        .ok_or_else(|| Failure::NotApplicable("the broker announces no Maximum Packet Size".into()))
}
