//! Packet ids: which are free, which are open, and what answers a wrong one. Hard cases A07 to A13 and A17 to A21.

use std::time::Duration;

use super::qos::{publisher_with_an_open_id, subscriber_with_a_delivery};
use super::scenes;
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, Message};
use crate::stage::Stage;

scenes! {
    both new_message_under_an_acknowledged_id "A07" "4.3.2-2" "4.3.2-5 4.3.2-4";
    both id_is_free_right_after_pubcomp "A08" "4.3.3-2" "4.3.3-12";
    v5 open_qos_2_id_reused_for_qos_1_is_refused "A09" "2.2.1-3";
    v311 open_qos_2_id_reused_for_qos_1_closes "A09" "2.3.1-2";
    both same_id_in_both_directions "A10" "2.3.1-6" "2.2.1-5";
    both subscribe_under_the_id_of_an_open_publish "A11" "2.3.1-7" "2.2.1-6";
    both pubrel_for_an_unknown_id "A12" "4.3.3-2" "3.7.2-1 4.3.3-11";
    both pubrec_for_an_unknown_id "A13" "4.3.3-1" "3.6.2-1 4.3.3-4";
    v5 our_refusal_frees_the_id "A17" "4.3.3-9";
    both ids_wrap_around_an_open_one "A18" "2.3.1-4" "2.2.1-4";
    v5 window_of_all_ids_fills_and_empties "A19" "2.2.1-4 4.9.0-2";
    v5 more_open_publishes_than_announced "A21 H20 U5-48" "3.3.4-7";
    v311 thousands_of_open_qos_2_ids_are_answered "A21" "4.3.3-2";
    both first_and_last_id_work_both_ways "" "2.3.1-6 4.3.3-2" "2.2.1-5 4.3.3-11";
    both deliveries_start_without_dup_and_with_fresh_ids "" "2.3.1-4 4.3.1-1 4.3.2-1 4.3.3-1" "2.2.1-4 4.3.1-1 4.3.2-1 4.3.2-2 4.3.3-1 4.3.3-2";
    both session_ends_open_incoming_ids "C19" "3.1.2-6" "3.1.2-4";
}

/// Given id 5 acknowledged; when it comes with DUP 1 and another payload; then it is a new message.
fn new_message_under_an_acknowledged_id(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "first").qos(1).id(5))?;
    publisher.deliver(&Message::new(&topic, "second").qos(1).id(5).dup())?;
    subscriber.take_of("first")?;
    subscriber.take_of("second").map(drop)
}

/// Given a finished flow with id 9; when 9 is used at once again; then the message is delivered.
fn id_is_free_right_after_pubcomp(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "first").qos(2).id(9))?;
    publisher.deliver(&Message::new(&topic, "second").qos(2).id(9))?;
    subscriber.take_of("first")?;
    subscriber.take_of("second").map(drop)
}

/// Given id 7 open at QoS 2; when it is used at QoS 1; then PUBACK 0x91, no delivery, and the flow of 7 goes on.
fn open_qos_2_id_reused_for_qos_1_is_refused(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(&topic, "open").qos(2).id(7));
    publisher.expect_pubrec(7)?;
    publisher.publish(&Message::new(&topic, "mixed").qos(1).id(7));
    publisher.expect("PUBACK id 7 code 0x91", |arrival| match arrival {
        Arrival::PubAck(ack) if ack.id == 7 && ack.code == 0x91 => Some(()),
        _ => None,
    })?;
    publisher.pubrel(7);
    publisher.expect_pubcomp(7)?;
    subscriber.take_of("open")?;
    subscriber.quiet()
}

/// Given id 7 open at QoS 2; when it is used at QoS 1; then close, and no delivery of the second.
fn open_qos_2_id_reused_for_qos_1_closes(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(&topic, "open").qos(2).id(7));
    publisher.expect_pubrec(7)?;
    publisher.publish(&Message::new(&topic, "mixed").qos(1).id(7));
    publisher.expect_end()?;
    subscriber.take_of("open")?;
    subscriber.quiet()
}

/// Given a delivery under some id; when the client publishes under the same id; then both flows finish.
fn same_id_in_both_directions(stage: &Stage<'_>) -> Check {
    let (mut client, id) = subscriber_with_a_delivery(stage, 2)?;
    let other = stage.topic("other");
    let mut witness = stage.subscriber("witness", &other, 2)?;
    client.publish(&Message::new(&other, "mine").qos(2).id(id));
    client.expect_pubrec(id)?;
    client.pubrec(id);
    client.expect_pubrel(id)?;
    client.pubrel(id);
    client.expect_pubcomp(id)?;
    client.pubcomp(id);
    witness.take_of("mine")?;
    client.quiet()
}

/// Given id 7 open in a PUBLISH; when SUBSCRIBE uses 7; then SUBACK 7 grants, and the flow of 7 goes on.
fn subscribe_under_the_id_of_an_open_publish(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut client = stage.connect("pub")?;
    client.publish(&Message::new(&topic, "open").qos(2).id(7));
    client.expect_pubrec(7)?;
    client.ask_to_subscribe(7, &[(&topic, crate::peer::options(1))], &[]);
    client.expect("SUBACK id 7 with code 01", |arrival| match arrival {
        Arrival::SubAck(grants) if grants.id == 7 && grants.codes == [1] => Some(()),
        _ => None,
    })?;
    client.pubrel(7);
    client.expect_pubcomp(7)
}

/// When PUBREL names an unknown id; then PUBCOMP, in 5.0 with 0x92, and the link stays.
fn pubrel_for_an_unknown_id(stage: &Stage<'_>) -> Check {
    let mut client = stage.connect("pub")?;
    client.pubrel(77);
    client.expect_pubcomp_code(77, 0x92, &[0])?;
    client.quiet()
}

/// When PUBREC names an unknown id; then PUBREL, in 5.0 with 0x92, and nothing stays behind.
fn pubrec_for_an_unknown_id(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("sub").keep().open()?;
    client.pubrec(77);
    let code = if stage.v5() { 0x92 } else { 0 };
    client.expect(format_args!("PUBREL id 77 code 0x{code:02X}"), |arrival| match arrival {
        Arrival::PubRel(ack) if ack.id == 77 => {
            (ack.code == code || stage.settings.lenient && ack.code == 0).then_some(())
        }
        _ => None,
    })?;
    client.quiet()?;
    client.cut();
    stage.login("sub").keep().open_with_session(true)?.quiet()
}

/// Given QoS 2 id 7 refused by PUBREC; when 7 is used on a good topic; then it is delivered once.
fn our_refusal_frees_the_id(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    publisher.publish(&Message::new(format!("$share/g/{topic}"), "bad").qos(2).id(7));
    publisher.expect("PUBREC id 7 code 0x90", |arrival| match arrival {
        Arrival::PubRec(ack) if ack.id == 7 && ack.code == 0x90 => Some(()),
        _ => None,
    })?;
    publisher.deliver(&Message::new(&topic, "good").qos(2).id(7))?;
    subscriber.take_of("good")?;
    subscriber.quiet()
}

/// Given one delivery never acknowledged; when 66,000 more come; then its id is skipped and 0 is never used.
fn ids_wrap_around_an_open_one(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    publisher.deliver(&Message::new(&topic, "held").qos(1))?;
    let held = subscriber.message_of("held")?;
    for batch in 0..660_u64 {
        let messages: Vec<Message> =
            (0..100).map(|n| Message::new(&topic, (batch * 100 + n).to_string())).collect();
        publisher.deliver_all(&messages)?;
        for n in 0..100 {
            let message = subscriber.message()?;
            same("number of the delivery", &message.number(), &(batch * 100 + n))?;
            ensure(message.id != held.id, format!("ids other than {}, which is open", held.id), &message)?;
            subscriber.puback(message.id);
        }
    }
    subscriber.puback(held.id);
    subscriber.quiet()
}

/// Given Receive Maximum 65,535 and no acknowledgements; then no id twice; after them the rest flows. All ids are open
/// only where the broker opens as many; elsewhere the scene sees that and does not apply.
fn window_of_all_ids_fills_and_empties(stage: &Stage<'_>) -> Check {
    const TOTAL: usize = 65_800;
    let topic = stage.topic("a");
    let mut subscriber = stage.login("sub").receive_maximum(u16::MAX).open()?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    let mut open = Vec::new();
    for batch in 0..TOTAL / 100 {
        let messages: Vec<Message> =
            (0..100).map(|n| Message::new(&topic, (batch * 100 + n).to_string())).collect();
        publisher.deliver_all(&messages)?;
        while batch % 20 == 0
            && let Arrival::Publish(message) = subscriber.next_within(Duration::from_millis(1))?
        {
            open.push(message);
        }
    }
    while let Arrival::Publish(message) = subscriber.next_within(Duration::from_millis(500))? {
        open.push(message);
    }
    let window = open.len();
    let mut ids: Vec<u16> = open.iter().map(|message| message.id).collect();
    ids.sort_unstable();
    ids.dedup();
    same("number of different open ids", &ids.len(), &open.len())?;
    ensure(!ids.contains(&0) && !open.is_empty(), "ids above 0", ids.len())?;
    let mut next = 0;
    while let Some(message) = open.get(next) {
        same("number of the delivery", &message.number(), &(next as u64))?;
        subscriber.puback(message.id);
        next += 1;
        if next == open.len() && next < TOTAL {
            open.push(subscriber.message()?);
        }
    }
    same("messages delivered", &open.len(), &TOTAL)?;
    subscriber.quiet()?;
    if window < usize::from(u16::MAX) {
        return Err(Failure::NotApplicable(format!("the broker opens {window} deliveries at a time")));
    }
    Ok(())
}

/// When a client opens one QoS 2 flow more than the announced Receive Maximum; then 0x93 and close.
fn more_open_publishes_than_announced(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    let announced = publisher.connack.properties.as_properties().receive_maximum().unwrap_or(u16::MAX);
    if announced == u16::MAX {
        return Err(Failure::NotApplicable("the broker announces no Receive Maximum".into()));
    }
    for id in 1..=announced {
        publisher.publish(&Message::new(&topic, "x").qos(2).id(id));
        publisher.expect_pubrec(id)?;
    }
    publisher.ping()?;
    publisher.publish(&Message::new(&topic, "x").qos(2).id(announced + 1));
    publisher.expect_close(0x93, &[])
}

/// When a client opens 3,000 QoS 2 flows and releases none; then each gets PUBREC and the link lives.
fn thousands_of_open_qos_2_ids_are_answered(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut publisher = stage.connect("pub")?;
    for first in (1..3000).step_by(100) {
        let window: Vec<Message> =
            (first..first + 100).map(|id| Message::new(&topic, "x").qos(2).id(id)).collect();
        publisher.publish_all(&window);
        for message in &window {
            publisher.expect_pubrec(message.id)?;
        }
    }
    publisher.quiet()
}

/// Ids 1 and 65,535 work at QoS 1 and 2.
fn first_and_last_id_work_both_ways(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for id in [1, u16::MAX] {
        for qos in [1, 2] {
            publisher.deliver(&Message::new(&topic, "x").qos(qos).id(id))?;
            subscriber.take_of("x")?;
        }
    }
    subscriber.quiet()
}

/// Ten deliveries of each QoS, none acknowledged: DUP 0, RETAIN 0, ids above 0 and none twice.
fn deliveries_start_without_dup_and_with_fresh_ids(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    let mut ids = std::collections::BTreeSet::new();
    for number in 0..30_u8 {
        let qos = number % 3;
        publisher.deliver(&Message::new(&topic, [number]).qos(qos))?;
        let message = subscriber.message_of([number])?;
        ensure(!message.dup && !message.retain, "DUP 0 and RETAIN 0", &message)?;
        same("QoS", &message.qos, &qos)?;
        ensure(qos == 0 || message.id > 0 && ids.insert(message.id), "an id that is not in use", &message)?;
    }
    subscriber.quiet()
}

/// Given id 7 open; when the client comes back with a clean session; then 7 is new.
fn session_ends_open_incoming_ids(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 2)?;
    let publisher = publisher_with_an_open_id(stage, &Message::new(&topic, "first").qos(2).id(7))?;
    publisher.cut();
    let mut publisher = stage.login("pub").open_with_session(false)?;
    publisher.deliver(&Message::new(&topic, "second").qos(2).id(7).dup())?;
    if !stage.settings.lenient {
        // We deliver with PUBREC; a broker that delivers at PUBREL never delivers the first.
        subscriber.take_of("first")?;
    }
    subscriber.take_of("second")?;
    subscriber.quiet()
}
