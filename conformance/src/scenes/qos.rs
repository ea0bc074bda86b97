//! Hand-shakes of QoS 1 and 2, at rest and over resumes: hard cases A, and the statements of sections 4.3 and 4.4.

use std::time::Duration;

use longwire_proto::ReasonCode;
use longwire_proto::property::Property;

use super::scenes;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::Stage;

scenes! {
    both repeated_publish_before_pubrel_is_delivered_once "A01" "4.3.3-2" "4.3.3-10 4.3.3-8";
    both repeated_publish_after_a_resume_is_not_delivered_again "A02" "4.3.3-2" "4.3.3-10";
    both pubrel_after_a_resume_is_completed_with_success "A03" "4.4.0-1" "4.4.0-1 4.3.3-11";
    both owed_pubrel_is_sent_again_instead_of_publish "A04" "4.3.3-1 4.4.0-1" "4.3.3-5 4.3.3-6 4.4.0-1";
    both pubrec_sent_while_vanishing_counts "A04" "4.3.3-1" "4.3.3-6";
    both unacknowledged_publishes_come_again_as_they_were "A05" "2.3.1-4 3.3.1-1 4.3.2-1 4.3.3-1" "3.3.1-1 4.3.2-3 4.3.3-3 4.4.0-1";
    both nothing_is_sent_again_on_a_live_link "A06" "4.4.0-1" "4.4.0-1";
    both puback_for_a_qos_2_id_closes "A14" "4.3.3-1" "4.3.3-3";
    both pubrec_for_a_qos_1_id_closes "A14" "4.3.2-1" "4.3.2-3";
    v5 early_pubcomp_raises_no_quota "A15 U5-46" "4.9.0-2";
    v5 acknowledgements_out_of_the_blue_raise_no_quota "A15 U5-46" "4.9.0-1 4.9.0-2";
    v5 refusal_of_a_delivery_ends_its_flow "A16 U5-46" "4.4.0-2";
    v5 refused_puback_ends_the_message "A16" "4.4.0-2";
    v5 expired_messages_behind_a_full_window_do_not_block "A20 H04" "3.3.2-5";
    both publisher_keeps_four_packets_for_lower_subscribers "A22" "3.8.4-6 4.3.3-2" "3.8.4-8 4.3.3-8";
    both publisher_that_takes_itself_over_is_heard_once "A02 C09" "4.3.3-2" "4.3.3-10";
    both flaky_clients_see_each_message_once "A02 A03 A04 A05" "4.3.3-1 4.3.3-2 4.4.0-1" "4.3.3-5 4.3.3-6 4.3.3-10 4.4.0-1";
    both each_qos_is_acknowledged_its_own_way "" "3.3.4-1 2.3.1-6" "3.3.4-1 2.2.1-5";
    both incoming_dup_does_not_travel "" "3.3.1-3" "3.3.1-3";
    v5 every_form_of_an_acknowledgement_is_understood "U5-31" "2.2.2-1";
}

/// Given QoS 2 id 7 with PUBREC; when it comes five times more; then five PUBREC and one delivery.
fn repeated_publish_before_pubrel_is_delivered_once(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    let message = Message::new(&topic, "once").qos(2).id(7);
    publisher.publish(&message);
    publisher.expect_pubrec(7)?;
    for _ in 0..5 {
        publisher.publish(&message.clone().dup());
        publisher.expect_pubrec(7)?;
    }
    publisher.pubrel(7);
    publisher.expect_pubcomp(7)?;
    subscriber.take_of("once")?;
    subscriber.quiet()?;
    publisher.quiet()
}

/// Given id 7 received and the link cut; when the client resumes and repeats it; then PUBREC, no second delivery.
fn repeated_publish_after_a_resume_is_not_delivered_again(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let message = Message::new(&topic, "once").qos(2).id(7);
    let publisher = publisher_with_an_open_id(stage, &message)?;
    publisher.cut();
    let mut publisher = stage.login("pub").keep().open_with_session(true)?;
    publisher.publish(&message.dup());
    publisher.expect_pubrec(7)?;
    publisher.pubrel(7);
    publisher.expect_pubcomp(7)?;
    subscriber.take_of("once")?;
    subscriber.quiet()
}

/// Given id 7 received and the link cut; when the client resumes with PUBREL alone; then PUBCOMP 0x00.
fn pubrel_after_a_resume_is_completed_with_success(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let publisher = publisher_with_an_open_id(stage, &Message::new(&topic, "once").qos(2).id(7))?;
    publisher.cut();
    let mut publisher = stage.login("pub").keep().open_with_session(true)?;
    publisher.pubrel(7);
    publisher.expect_pubcomp(7)?;
    subscriber.take_of("once")?;
    subscriber.quiet()
}

/// Given a subscriber that saw PUBREL and vanished before PUBCOMP; when it resumes; then PUBREL with the old id.
fn owed_pubrel_is_sent_again_instead_of_publish(stage: &Stage<'_>) -> Check {
    let (mut subscriber, id) = subscriber_with_a_delivery(stage, 2)?;
    subscriber.pubrec(id);
    subscriber.expect_pubrel(id)?;
    subscriber.cut();
    let mut subscriber = stage.login("sub").keep().open_with_session(true)?;
    subscriber.expect_pubrel(id)?;
    subscriber.pubcomp(id);
    subscriber.quiet()
}

/// Given a subscriber that sends PUBREC and vanishes at once; when it resumes; then PUBREL, not PUBLISH.
fn pubrec_sent_while_vanishing_counts(stage: &Stage<'_>) -> Check {
    let (mut subscriber, id) = subscriber_with_a_delivery(stage, 2)?;
    subscriber.pubrec(id);
    subscriber.cut();
    let mut subscriber = stage.login("sub").keep().open_with_session(true)?;
    subscriber.expect_pubrel(id)?;
    subscriber.pubcomp(id);
    subscriber.quiet()
}

/// Given unacknowledged QoS 1 and 2 deliveries; when the client resumes; then same ids, DUP 1, same content.
fn unacknowledged_publishes_come_again_as_they_were(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in [1, 2] {
        let message = Message::new(&topic, format!("qos {qos}")).qos(qos);
        publisher.deliver(
            &message.with(Property::ContentType("text/plain")).with(Property::UserProperty("k", "v")),
        )?;
    }
    let before = [subscriber.message_of("qos 1")?, subscriber.message_of("qos 2")?];
    subscriber.cut();
    let mut subscriber = stage.login("sub").keep().open_with_session(true)?;
    for first in before {
        ensure(!first.dup, "DUP 0 at the first sending", &first)?;
        let again = subscriber.message()?;
        same("the same PUBLISH with DUP 1:", &again, &first.dup())?;
    }
    subscriber.quiet()
}

/// Given a subscriber that holds PUBACK back on a live link; then nothing is sent again.
fn nothing_is_sent_again_on_a_live_link(stage: &Stage<'_>) -> Check {
    let (mut first, id) = subscriber_with_a_delivery(stage, 1)?;
    let (mut second, _) = subscriber_with_a_delivery_named(stage, "sub2", 2)?;
    first.quiet_for(Duration::from_secs(4))?;
    second.quiet()?;
    first.puback(id);
    first.quiet()
}

/// When PUBACK answers a QoS 2 delivery; then 0x82 and close, and the message comes again at the resume.
fn puback_for_a_qos_2_id_closes(stage: &Stage<'_>) -> Check {
    let (mut subscriber, id) = subscriber_with_a_delivery(stage, 2)?;
    subscriber.puback(id);
    subscriber.expect_close(0x82, &[0x81])?;
    let mut subscriber = stage.login("sub").keep().open_with_session(true)?;
    let again = subscriber.take_of("payload")?;
    ensure(again.dup && again.id == id, format!("id {id} with DUP 1"), &again)
}

/// When PUBREC answers a QoS 1 delivery; then 0x82 and close, and the message comes again at the resume.
fn pubrec_for_a_qos_1_id_closes(stage: &Stage<'_>) -> Check {
    let (mut subscriber, id) = subscriber_with_a_delivery(stage, 1)?;
    subscriber.pubrec(id);
    subscriber.expect_close(0x82, &[0x81])?;
    let mut subscriber = stage.login("sub").keep().open_with_session(true)?;
    let again = subscriber.take_of("payload")?;
    ensure(again.dup && again.id == id, format!("id {id} with DUP 1"), &again)
}

/// Given Receive Maximum 1 and an open QoS 2 delivery; when PUBCOMP comes before PUBREL; then no slot is freed.
///
/// A broker may also treat it as a protocol error; then the message must come again at the resume.
fn early_pubcomp_raises_no_quota(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let login = stage.login("sub").keep().receive_maximum(1);
    let mut subscriber = login.open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "first").qos(2))?;
    publisher.deliver(&Message::new(&topic, "second").qos(2))?;
    let first = subscriber.message_of("first")?;
    subscriber.pubcomp(first.id);
    match subscriber.next_within(Duration::from_millis(500))? {
        Arrival::Silence => subscriber.acknowledge(&first)?,
        gone if gone == Arrival::Closed && stage.settings.lenient || is_protocol_error(&gone) => {
            subscriber = login.open_with_session(true)?;
            subscriber.take_of("first")?;
        }
        other => return Err(subscriber.differs("nothing, or DISCONNECT code 0x82", other)),
    }
    subscriber.take_of("second")?;
    subscriber.quiet()
}

fn is_protocol_error(arrival: &Arrival) -> bool {
    matches!(arrival, Arrival::Disconnect(reason) if reason.code == 0x82)
}

/// Given Receive Maximum 1; when PUBACK, PUBREC and PUBCOMP for ids never sent arrive; then still one open message.
fn acknowledgements_out_of_the_blue_raise_no_quota(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").receive_maximum(1).open()?;
    subscriber.subscribe(&topic, 2)?;
    for id in [901, 902, 903] {
        subscriber.puback(id);
        subscriber.pubrec(id);
        subscriber.expect("PUBREL", |arrival| matches!(arrival, Arrival::PubRel(_)).then_some(()))?;
        subscriber.pubcomp(id);
    }
    subscriber.ping()?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..3 {
        publisher.deliver(&Message::new(&topic, number.to_string()).qos(1))?;
    }
    for number in 0..3 {
        let message = subscriber.message_of(number.to_string())?;
        subscriber.quiet()?;
        subscriber.acknowledge(&message)?;
    }
    subscriber.quiet()
}

/// Given Receive Maximum 1; when PUBREC 0x97 refuses; then no PUBREL, the slot is free, nothing comes again.
fn refusal_of_a_delivery_ends_its_flow(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let login = stage.login("sub").keep().receive_maximum(1);
    let mut subscriber = login.open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "refused").qos(2))?;
    publisher.deliver(&Message::new(&topic, "wanted").qos(2))?;
    let refused = subscriber.message_of("refused")?;
    subscriber.pubrec_code(refused.id, ReasonCode::QuotaExceeded);
    subscriber.take_of("wanted")?;
    subscriber.cut();
    login.open_with_session(true)?.quiet()
}

/// When PUBACK 0x83 refuses; then the message is over and does not come again.
fn refused_puback_ends_the_message(stage: &Stage<'_>) -> Check {
    let (mut subscriber, id) = subscriber_with_a_delivery(stage, 1)?;
    subscriber.puback_code(id, ReasonCode::ImplementationSpecificError);
    subscriber.quiet()?;
    subscriber.cut();
    stage.login("sub").keep().open_with_session(true)?.quiet()
}

/// Given a full window with expired messages behind it; when it opens; then the living one behind them flows.
fn expired_messages_behind_a_full_window_do_not_block(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").keep().receive_maximum(1).open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "head").qos(1))?;
    let head = subscriber.message_of("head")?;
    for _ in 0..3 {
        publisher
            .deliver(&Message::new(&topic, "expires").qos(1).with(Property::MessageExpiryInterval(1)))?;
    }
    publisher.deliver(&Message::new(&topic, "lives").qos(1))?;
    stage.sleep_ms(2200);
    subscriber.puback(head.id);
    subscriber.take_of("lives")?;
    subscriber.quiet()
}

/// When QoS 2 goes to subscribers at QoS 0 and 1; then each gets its own, and the publisher four packets.
fn publisher_keeps_four_packets_for_lower_subscribers(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut lowest = stage.subscriber("sub0", &topic, 0)?;
    let mut middle = stage.subscriber("sub1", &topic, 1)?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "down").qos(2))?;
    same("QoS", &lowest.take_of("down")?.qos, &0)?;
    same("QoS", &middle.take_of("down")?.qos, &1)?;
    lowest.quiet()?;
    middle.quiet()
}

/// Fifty QoS 2 messages, a takeover at once, and all of them again with DUP: each is delivered once.
fn publisher_that_takes_itself_over_is_heard_once(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    for round in 0..5 {
        let name = format!("pub{round}");
        let burst: Vec<Message> =
            (1..=50).map(|id| Message::new(&topic, format!("{round}/{id}")).qos(2).id(id)).collect();
        let mut old = stage.login(&name).keep().open()?;
        old.publish_all(&burst);
        let mut new = stage.login(&name).keep().open_with_session(true)?;
        for message in burst.iter().cloned().map(Message::dup) {
            new.publish(&message);
            new.expect_pubrec(message.id)?;
        }
        for id in 1..=50 {
            new.pubrel(id);
            new.expect_pubcomp(id)?;
        }
        let mut came: Vec<String> = Vec::new();
        for _ in 0..50 {
            came.push(subscriber.take()?.text());
        }
        let sent: Vec<String> = burst.iter().map(Message::text).collect();
        same("each message once, in order:", &came, &sent)?;
        subscriber.quiet_for(Duration::from_millis(50))?;
    }
    subscriber.quiet()
}

/// Publisher and subscriber lose their connections at every point of the flow: each message arrives once.
fn flaky_clients_see_each_message_once(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let (sending, receiving) = (stage.login("pub").keep(), stage.login("sub").keep());
    let mut publisher = sending.open()?;
    let mut subscriber = receiving.open()?;
    subscriber.subscribe(&topic, 2)?;
    for number in 0..60_u64 {
        let message = Message::new(&topic, number.to_string()).qos(2).id(1 + number as u16 % 9);
        publisher.publish(&message);
        if number % 3 == 0 {
            publisher = sending.open_with_session(true)?;
            publisher.publish(&message.clone().dup());
        }
        publisher.expect_pubrec(message.id)?;
        publisher.pubrel(message.id);
        if number % 4 == 0 {
            publisher = sending.open_with_session(true)?;
            publisher.pubrel(message.id);
            // The first PUBREL may have arrived, and then the id is forgotten.
            publisher.expect_pubcomp_code_of(message.id, &[0, 0x92])?;
        } else {
            publisher.expect_pubcomp(message.id)?;
        }

        let mut came = subscriber.message_of(number.to_string())?;
        if number % 5 == 0 {
            subscriber = receiving.open_with_session(true)?;
            came = subscriber.message_of(number.to_string())?;
        }
        same("QoS", &came.qos, &2)?;
        subscriber.pubrec(came.id);
        subscriber.expect_pubrel(came.id)?;
        if number % 7 == 0 {
            subscriber = receiving.open_with_session(true)?;
            subscriber.expect_pubrel(came.id)?;
        }
        subscriber.pubcomp(came.id);
        subscriber.ping()?;
    }
    subscriber.quiet()
}

/// One PUBLISH of each QoS: nothing, PUBACK, PUBREC.
fn each_qos_is_acknowledged_its_own_way(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(&topic, "0"));
    publisher.quiet()?;
    publisher.publish(&Message::new(&topic, "1").qos(1).id(11));
    publisher.expect_puback(11)?;
    publisher.publish(&Message::new(&topic, "2").qos(2).id(12));
    publisher.expect_pubrec(12)?;
    publisher.quiet()
}

/// A PUBLISH with DUP 1 arrives at the subscriber with DUP 0.
fn incoming_dup_does_not_travel(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in [1, 2] {
        publisher.deliver(&Message::new(&topic, "x").qos(qos).id(40).dup())?;
        let message = subscriber.take_of("x")?;
        ensure(!message.dup, "DUP 0", &message)?;
    }
    Ok(())
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP of lengths 2, 3 and 4 all work.
fn every_form_of_an_acknowledgement_is_understood(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").receive_maximum(1).open()?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for form in [&[][..], &[0], &[0, 0]] {
        publisher.deliver(&Message::new(&topic, "1").qos(1))?;
        let message = subscriber.message_of("1")?;
        ack_in_form(&mut subscriber, 0x40, message.id, form);
        publisher.publish(&Message::new(&topic, "2").qos(2).id(50));
        publisher.expect_pubrec(50)?;
        ack_in_form(&mut publisher, 0x62, 50, form);
        publisher.expect_pubcomp(50)?;
        let message = subscriber.message_of("2")?;
        ack_in_form(&mut subscriber, 0x50, message.id, form);
        subscriber.expect_pubrel(message.id)?;
        ack_in_form(&mut subscriber, 0x70, message.id, form);
    }
    subscriber.quiet()
}

fn ack_in_form(peer: &mut Peer, first: u8, id: u16, form: &[u8]) {
    let body = crate::craft::join(&[&id.to_be_bytes(), form]);
    peer.raw("acknowledgement", &crate::craft::frame(first, &body));
}

/// A publisher with a kept session that sent `message` and got PUBREC.
pub(super) fn publisher_with_an_open_id(stage: &Stage<'_>, message: &Message) -> Check<Peer> {
    let mut publisher = stage.login("pub").keep().open_with_session(false)?;
    publisher.publish(message);
    publisher.expect_pubrec(message.id)?;
    Ok(publisher)
}

/// A subscriber with a kept session that has one unacknowledged delivery of this QoS, and its id.
pub(super) fn subscriber_with_a_delivery(stage: &Stage<'_>, qos: u8) -> Check<(Peer, u16)> {
    subscriber_with_a_delivery_named(stage, "sub", qos)
}

fn subscriber_with_a_delivery_named(stage: &Stage<'_>, name: &str, qos: u8) -> Check<(Peer, u16)> {
    let topic = stage.topic(name);
    let mut subscriber = stage.login(name).keep().open_with_session(false)?;
    subscriber.subscribe(&topic, qos)?;
    stage.connect("pub")?.deliver(&Message::new(&topic, "payload").qos(qos))?;
    let message = subscriber.message_of("payload")?;
    same("QoS", &message.qos, &qos)?;
    Ok((subscriber, message.id))
}
