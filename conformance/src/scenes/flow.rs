//! Expiry, packet sizes, topic aliases and flow control. Hard cases H.

use std::time::Duration;

use longwire_proto::property::Property;

use super::scenes;
use crate::craft;
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    v5 expiry_counts_down_in_the_queue "H01" "3.3.2-6";
    v5 expiry_counts_down_until_a_message_is_sent_again "H01" "3.3.2-6";
    v5 expired_message_is_not_delivered "H04" "3.3.2-5";
    v5 expiry_spares_deliveries_that_were_sent "H02" "4.3.3-7";
    v5 expiry_spares_an_owed_pubrel "H02" "4.3.3-5 4.3.3-13";
    v5 expiry_between_publish_and_pubrel_changes_nothing "H03" "4.3.3-13";
    v5 expired_messages_make_room_in_the_queue "H04" "3.3.2-5";
    v5 expiry_zero_is_for_those_present "H06 U5-59" "3.3.2-5";
    v5 longest_expiry_is_forwarded "H06" "3.3.2-6";
    v5 too_large_for_the_subscriber_is_dropped "H07" "3.1.2-24 3.1.2-25";
    v5 packet_size_counts_every_byte_on_the_way_out "H08" "3.1.2-24";
    both packet_size_counts_every_byte_on_the_way_in "H08" "4.8.0-1" "3.2.2-15";
    v5 connack_fits_the_limit_of_the_client "H09" "3.2.2-19 3.2.2-20 3.1.2-24";
    both too_large_is_refused_before_its_body "H10" "4.8.0-1" "3.2.2-15";
    v5 alias_ends_with_its_connection "H11 U5-23" "3.3.2-7";
    v5 alias_of_a_refused_message_holds "H12" "3.3.2-12";
    v5 message_sent_again_has_its_topic "H13" "3.3.2-7 4.4.0-1";
    v5 alias_of_a_dropped_message_is_not_assumed "H14" "3.1.2-25 3.1.2-26";
    v5 alias_zero_or_too_high_is_refused "H15" "3.3.2-8 3.3.2-9 3.2.2-17";
    v5 every_announced_alias_works "U5-24" "3.3.2-12";
    v5 aliases_of_both_directions_are_independent "U5-25 U5-60" "3.1.2-26 3.3.2-11";
    v5 no_alias_without_permission "U5-60" "3.1.2-27";
    v5 receive_maximum_one_is_strict "H16" "3.3.4-9 4.9.0-1 4.9.0-2";
    v5 full_window_holds_back_nothing_else "H16 H18" "3.3.4-10 4.9.0-3 3.12.4-1";
    v311 unacknowledged_deliveries_hold_back_nothing_else "H18" "3.12.4-1";
    v5 resume_with_a_smaller_window "H17 U5-47" "4.4.0-1 4.9.0-1";
    both reader_that_pauses_loses_nothing "H19" "4.5.0-1" "4.5.0-1";
    both payloads_of_every_size_arrive_whole "" "4.5.0-1" "4.5.0-1";
    both large_messages_reach_a_reader_that_pauses "H19" "4.5.0-1" "4.5.0-1";
    v5 no_explanations_when_not_asked_for "H21" "3.1.2-29";
    v5 explanations_fit_the_limit_of_the_client "" "3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 3.14.2-3 3.14.2-4";
    v5 no_response_information_when_not_asked_for "" "3.1.2-28 4.12.0-6";
}

/// Expiry 10, two seconds in the queue: 7 or 8.
fn expiry_counts_down_in_the_queue(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 10))?;
    stage.sleep_ms(2100);
    let came = stage_take(&kept, "x")?;
    ensure(matches!(came.props().message_expiry_interval(), Some(6..=8)), "expiry reduced to 7 or 8", &came)
}

/// Expiry 20, sent, not acknowledged, sent again after two seconds: reduced, by choice; never larger.
fn expiry_counts_down_until_a_message_is_sent_again(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 20))?;
    subscriber.message_of("x")?;
    subscriber.cut();
    stage.sleep_ms(2100);
    let again = stage_take(&kept, "x")?;
    let most = if stage.settings.lenient { 20 } else { 18 };
    let left = again.props().message_expiry_interval().unwrap_or(u32::MAX);
    ensure((15..=most).contains(&left), format!("expiry of at most {most}"), &again)
}

/// Expiry 1, two seconds in the queue: gone.
fn expired_message_is_not_delivered(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&expiring(stage, "gone", 1))?;
    publisher.deliver(&expiring(stage, "stays", 60))?;
    stage.sleep_ms(2200);
    let mut subscriber = kept.open_with_session(true)?;
    subscriber.take_of("stays")?;
    subscriber.quiet()
}

/// QoS 2 with expiry 1 was sent but not answered: two seconds later it still comes again.
fn expiry_spares_deliveries_that_were_sent(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 1).qos(2))?;
    let first = subscriber.message_of("x")?;
    subscriber.cut();
    stage.sleep_ms(2200);
    let mut subscriber = kept.open_with_session(true)?;
    let again = subscriber.take_of("x")?;
    ensure(again.dup && again.id == first.id, format!("id {} with DUP 1", first.id), &again)?;
    subscriber.quiet()
}

/// QoS 2 with expiry 1 was answered by PUBREC: two seconds later PUBREL is still owed.
fn expiry_spares_an_owed_pubrel(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", 1).qos(2))?;
    let first = subscriber.message_of("x")?;
    subscriber.pubrec(first.id);
    subscriber.expect_pubrel(first.id)?;
    subscriber.cut();
    stage.sleep_ms(2200);
    let mut subscriber = kept.open_with_session(true)?;
    subscriber.expect_pubrel(first.id)?;
    subscriber.pubcomp(first.id);
    subscriber.quiet()
}

/// A publisher releases a QoS 2 message after it expired: PUBCOMP 0x00.
fn expiry_between_publish_and_pubrel_changes_nothing(stage: &Stage<'_>) -> Check {
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&expiring(stage, "x", 1).qos(2).id(5));
    publisher.expect_pubrec(5)?;
    stage.sleep_ms(2100);
    publisher.pubrel(5);
    publisher.expect_pubcomp(5)
}

/// 500 messages expire in the queue, five do not: the five come at once.
fn expired_messages_make_room_in_the_queue(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut publisher = stage.connect("pub")?;
    for _ in 0..5 {
        let burst: Vec<Message> = (0..100).map(|_| expiring(stage, "gone", 1)).collect();
        publisher.deliver_all(&burst)?;
        publisher.deliver(&expiring(stage, "stays", 60))?;
    }
    stage.sleep_ms(2300);
    let mut subscriber = kept.open_with_session(true)?;
    for _ in 0..5 {
        subscriber.take_of("stays")?;
    }
    subscriber.quiet()
}

/// Expiry 0: who is connected gets the message, who is away does not.
fn expiry_zero_is_for_those_present(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut present = stage.subscriber("present", &stage.topic("a"), 1)?;
    stage.connect("pub")?.deliver(&expiring(stage, "now", 0))?;
    present.take_of("now")?;
    stage.sleep_ms(100);
    kept.open_with_session(true)?.quiet()
}

/// Expiry 4,294,967,295 is forwarded and does not overflow.
fn longest_expiry_is_forwarded(stage: &Stage<'_>) -> Check {
    let kept = absent_subscriber(stage)?;
    let mut present = stage.subscriber("present", &stage.topic("a"), 1)?;
    stage.connect("pub")?.deliver(&expiring(stage, "x", u32::MAX))?;
    for came in [present.take_of("x")?, stage_take(&kept, "x")?] {
        let left = came.props().message_expiry_interval().unwrap_or(0);
        ensure(left >= u32::MAX - 10, "an expiry near 4,294,967,295", &came)?;
    }
    Ok(())
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

/// CONNACK with a limit of 20 bytes, with and without an assigned id: it fits, or the broker closes.
fn connack_fits_the_limit_of_the_client(stage: &Stage<'_>) -> Check {
    let limited = stage.login("client").with(Property::MaximumPacketSize(20));
    for login in [limited.clone(), limited.id("")] {
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

/// Alias 1 set on one connection is unknown on the next: 0x82.
fn alias_ends_with_its_connection(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("pub").keep();
    let mut publisher = kept.open()?;
    publisher.deliver(&Message::new(&topic, "x").qos(1).with(Property::TopicAlias(1)))?;
    publisher.deliver(&Message::new("", "y").qos(1).with(Property::TopicAlias(1)))?;
    publisher.cut();
    let mut publisher = kept.open_with_session(true)?;
    publisher.publish(&Message::new("", "z").qos(1).id(9).with(Property::TopicAlias(1)));
    publisher.expect_close(0x82, &[0x94])
}

/// An alias set by a PUBLISH that was refused holds: its second use is refused in the same way.
fn alias_of_a_refused_message_holds(stage: &Stage<'_>) -> Check {
    let refused = stage.shared("g", "a");
    let mut publisher = stage.connect("pub")?;
    for (id, topic) in [(1, refused.as_str()), (2, "")] {
        publisher.publish(&Message::new(topic, "x").qos(1).id(id).with(Property::TopicAlias(1)));
        publisher.expect(format_args!("PUBACK id {id} code 0x90"), |arrival| match arrival {
            Arrival::PubAck(ack) if ack.id == id && ack.code == 0x90 => Some(()),
            _ => None,
        })?;
    }
    publisher.quiet()
}

/// A subscriber that allows aliases resumes: what is sent again has its topic.
fn message_sent_again_has_its_topic(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let kept = stage.login("sub").keep().with(Property::TopicAliasMaximum(5));
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..4 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
    }
    for number in 0..4 {
        subscriber.message_of(number.to_string())?;
    }
    subscriber.cut();
    let mut subscriber = kept.open_with_session(true)?;
    let mut aliases = Aliases::default();
    for number in 0..4 {
        let again = subscriber.message_of(number.to_string())?;
        ensure(number > 0 || !again.topic.is_empty(), "the topic in the first packet", &again)?;
        same("topic", &aliases.topic_of(&again, 5)?, &topic)?;
    }
    Ok(())
}

/// The first message on a topic is too large for the subscriber; the next one must still carry the topic.
fn alias_of_a_dropped_message_is_not_assumed(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let limits =
        stage.login("sub").with(Property::TopicAliasMaximum(5)).with(Property::MaximumPacketSize(200));
    let mut subscriber = limits.open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, [b'x'; 300]).qos(1))?;
    let mut aliases = Aliases::default();
    for number in 0..3 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
        let came = subscriber.take_of(number.to_string())?;
        same("topic", &aliases.topic_of(&came, 5)?, &topic)?;
    }
    Ok(())
}

/// Alias 0 and an alias above the maximum: 0x94.
fn alias_zero_or_too_high_is_refused(stage: &Stage<'_>) -> Check {
    let too_high = alias_maximum(&stage.connect("pub")?).saturating_add(1);
    for alias in [0, too_high, u16::MAX] {
        let mut publisher = stage.connect("pub")?;
        let [high, low] = alias.to_be_bytes();
        let topic = stage.topic("a");
        let bytes = craft::publish(stage.version, 0, topic.as_bytes(), None, &[0x23, high, low], b"x");
        publisher.raw(&format!("PUBLISH with alias {alias}"), &bytes);
        publisher.expect_close(0x94, &[0x81, 0x82])?;
    }
    Ok(())
}

/// Every alias up to the announced maximum is set, used, and mapped anew.
fn every_announced_alias_works(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.subscriber("sub", &stage.topic("#"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let maximum = alias_maximum(&publisher).min(100);
    if maximum == 0 {
        return Err(Failure::NotApplicable("the broker announces no topic aliases".into()));
    }
    for generation in ["old", "new"] {
        for set in [true, false] {
            for alias in 1..=maximum {
                let topic = stage.topic(&format!("{generation}/{alias}"));
                let sent = if set { topic.as_str() } else { "" };
                publisher.deliver(&Message::new(sent, "x").qos(1).with(Property::TopicAlias(alias)))?;
                let came = subscriber.take_of("x")?;
                same("topic", &came.topic, &topic)?;
            }
        }
    }
    Ok(())
}

/// One client uses alias 1 for its publishes and allows the broker two: every delivery names its topic.
fn aliases_of_both_directions_are_independent(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("client").with(Property::TopicAliasMaximum(2)).open()?;
    client.subscribe(&stage.topic("in/#"), 1)?;
    let mut witness = stage.subscriber("witness", &stage.topic("out"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let mut aliases = Aliases::default();
    for round in 0..30 {
        let out = if round == 0 { stage.topic("out") } else { String::new() };
        client.deliver(&Message::new(out, round.to_string()).qos(1).with(Property::TopicAlias(1)))?;
        same("topic", &witness.take_of(round.to_string())?.topic, &stage.topic("out"))?;
        let topic = stage.topic(&format!("in/{}", round % 5));
        publisher.deliver(&Message::new(&topic, "x").qos(1))?;
        let came = client.take_of("x")?;
        same("topic", &aliases.topic_of(&came, 2)?, &topic)?;
    }
    Ok(())
}

/// Without Topic Alias Maximum, and with 0: no alias in any delivery, though the publisher uses one.
fn no_alias_without_permission(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut absent = stage.subscriber("absent", &topic, 1)?;
    let mut zero = stage.login("zero").with(Property::TopicAliasMaximum(0)).open()?;
    zero.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for round in 0..5 {
        let sent = if round == 0 { topic.as_str() } else { "" };
        publisher.deliver(&Message::new(sent, "x").qos(1).with(Property::TopicAlias(1)))?;
        for peer in [&mut absent, &mut zero] {
            let came = peer.take_of("x")?;
            ensure(
                came.topic == topic && came.props().topic_alias().is_none(),
                "the topic, no alias",
                &came,
            )?;
        }
    }
    Ok(())
}

/// Receive Maximum 1: never two open; PUBREC does not free the slot, PUBCOMP does.
fn receive_maximum_one_is_strict(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.login("sub").receive_maximum(1).open()?;
    subscriber.subscribe(&stage.topic("a"), 2)?;
    let mut publisher = stage.connect("pub")?;
    for (number, qos) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(qos))?;
    }
    for (number, qos) in [(0, 1), (1, 2), (2, 1), (3, 2)] {
        let message = subscriber.message_of(number.to_string())?;
        same("QoS", &message.qos, &qos)?;
        subscriber.quiet()?;
        if qos == 1 {
            subscriber.puback(message.id);
        } else {
            subscriber.pubrec(message.id);
            subscriber.expect_pubrel(message.id)?;
            subscriber.quiet()?;
            subscriber.pubcomp(message.id);
        }
    }
    subscriber.quiet()
}

/// A full window: PINGRESP, SUBACK, UNSUBACK, PUBACK and QoS 0 deliveries still come.
fn full_window_holds_back_nothing_else(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.login("sub").receive_maximum(1).open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..5 {
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(1))?;
    }
    subscriber.message_of("0")?;
    everything_else_flows(stage, &mut subscriber, &mut publisher)
}

/// 2,000 deliveries wait for PUBACK: PINGRESP, SUBACK, PUBACK and QoS 0 deliveries still come, then the rest.
fn unacknowledged_deliveries_hold_back_nothing_else(stage: &Stage<'_>) -> Check {
    let mut subscriber = stage.connect("sub")?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let burst: Vec<Message> = (0..2000).map(|n| Message::new(stage.topic("a"), n.to_string())).collect();
    publisher.deliver_all(&burst)?;
    let mut open = Vec::new();
    while let Arrival::Publish(message) = subscriber.next_within(Duration::from_millis(300))? {
        open.push(message);
    }
    let within = stage.settings.lenient || open.len() <= WINDOW_OF_3_1_1;
    ensure(within, format!("at most {WINDOW_OF_3_1_1} open deliveries"), open.len())?;
    everything_else_flows(stage, &mut subscriber, &mut publisher)
}

/// Deliveries that our broker keeps open to a client before 5.0.
const WINDOW_OF_3_1_1: usize = 1024;

fn everything_else_flows(stage: &Stage<'_>, subscriber: &mut Peer, publisher: &mut Peer) -> Check {
    subscriber.ping()?;
    subscriber.subscribe(&stage.topic("b"), 0)?;
    subscriber.unsubscribe(&stage.topic("a"))?;
    publisher.publish(&Message::new(stage.topic("b"), "beside"));
    subscriber.message_of("beside")?;
    let mut witness = stage.subscriber("witness", &stage.topic("c"), 1)?;
    subscriber.deliver(&Message::new(stage.topic("c"), "out").qos(1))?;
    witness.take_of("out").map(drop)
}

/// Five open deliveries, resumed with Receive Maximum 2: two, then one for each that is acknowledged.
fn resume_with_a_smaller_window(stage: &Stage<'_>) -> Check {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..6 {
        publisher.deliver(&Message::new(stage.topic("a"), number.to_string()).qos(1))?;
    }
    for number in 0..6 {
        subscriber.message_of(number.to_string())?;
    }
    subscriber.cut();
    let mut subscriber = kept.receive_maximum(2).open_with_session(true)?;
    let mut open = vec![subscriber.message_of("0")?, subscriber.message_of("1")?];
    for number in 2..6 {
        subscriber.quiet_for(Duration::from_millis(100))?;
        subscriber.puback(open.remove(0).id);
        let next = subscriber.message_of(number.to_string())?;
        ensure(next.dup, "DUP 1", &next)?;
        open.push(next);
    }
    for message in open {
        subscriber.puback(message.id);
    }
    subscriber.quiet()
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

/// A kept session that is subscribed to the topic of this scene at QoS 1 and away.
fn absent_subscriber<'a>(stage: &'a Stage<'_>) -> Check<crate::stage::Login<'a>> {
    let kept = stage.login("sub").keep();
    let mut subscriber = kept.open()?;
    subscriber.subscribe(&stage.topic("a"), 1)?;
    subscriber.cut();
    Ok(kept)
}

fn stage_take(kept: &crate::stage::Login<'_>, payload: &str) -> Check<Message> {
    let mut subscriber = kept.open_with_session(true)?;
    let came = subscriber.take_of(payload)?;
    subscriber.quiet()?;
    Ok(came)
}

/// A QoS 1 message on the topic of this scene.
fn expiring(stage: &Stage<'_>, payload: &str, secs: u32) -> Message {
    Message::new(stage.topic("a"), payload).qos(1).with(Property::MessageExpiryInterval(secs))
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

fn alias_maximum(peer: &Peer) -> u16 {
    peer.connack.properties.as_properties().topic_alias_maximum().unwrap_or(0)
}

/// What a receiver knows of the sender's aliases.
#[derive(Default)]
struct Aliases(std::collections::BTreeMap<u16, String>);

impl Aliases {
    /// The topic of a delivery, by itself or by its alias, which must be within `maximum`.
    fn topic_of(&mut self, message: &Message, maximum: u16) -> Check<String> {
        let Some(alias) = message.props().topic_alias() else { return Ok(message.topic.clone()) };
        ensure((1..=maximum).contains(&alias), format!("an alias of 1 to {maximum}"), message)?;
        if !message.topic.is_empty() {
            self.0.insert(alias, message.topic.clone());
        }
        self.0.get(&alias).cloned().ok_or_else(|| Failure::Differs {
            expected: "an alias that was set on this connection".into(),
            came: message.to_string(),
        })
    }
}
