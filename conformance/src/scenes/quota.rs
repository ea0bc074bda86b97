//! What a broker that is full says, and that it keeps what it has acknowledged. Hard case H19.
//!
//! No packet announces these bounds, so each scene offers more than a broker set up for it can hold, and does not apply
//! where everything was taken.

use std::time::{Duration, Instant};

use longwire_proto::property::Property;

use super::scenes;
use crate::failure::{Check, Failure, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::{Peer, options};
use crate::stage::Stage;

scenes! {
    both messages_for_absent_clients "H19 U5-58" "4.8.0-2 4.5.0-1" "3.4.2-1 3.5.2-1 4.3.3-9 4.5.0-1" alone;
    v5 messages_for_a_clean_session_that_is_full "H19" "4.13.1-1";
    both retained_messages "U5-58" "3.3.1-5 3.3.1-6" "3.3.1-5 3.3.1-6 3.4.2-1" alone;
    both subscriptions "F10 U5-58" "3.8.4-5 3.9.3-2" "3.8.4-7 3.9.3-2";
    both connections "U5-17" "3.1.4-5" "3.1.4-2 3.1.4-6" alone;
    both sessions "" "3.1.4-5 3.2.2-5" "3.1.4-2 3.1.4-6 3.2.2-7 3.2.2-8" alone;
}

/// Messages that a scene offers at most, and the size of each; that is more than half a megabyte.
const OFFERED: u64 = 60;
const PAYLOAD_BYTES: usize = 10_000;

/// How long a broker may count a connection that has ended.
const ROOM_WITHIN: Duration = Duration::from_secs(3);

/// Messages for an absent client until the broker takes no more: the refusal is heard, in 5.0 by code 0x97, before by a
/// close without an answer. Others are served. What was acknowledged arrives in order, and then there is room again.
fn messages_for_absent_clients(stage: &Stage<'_>) -> Check {
    let mut refusals = 0;
    for qos in [1, 2] {
        let topic = stage.topic(&format!("away/{qos}"));
        let kept = stage.login(&format!("away{qos}")).keep();
        let mut away = kept.open()?;
        away.subscribe(&topic, 2)?;
        away.cut();
        let mut taken = 0;
        let mut publisher = stage.connect("pub")?;
        while taken < OFFERED {
            if !is_taken(&mut publisher, &large(&topic, taken).qos(qos))? {
                refusals += 1;
                others_are_served(stage)?;
                break;
            }
            taken += 1;
        }
        let mut away = kept.open_with_session(true)?;
        for number in 0..taken {
            same("number of the delivery", &number_of(&away.take()?), &number)?;
        }
        away.quiet()?;
        stage.connect("pub")?.deliver(&large(&topic, taken).qos(qos))?;
        same("number of the delivery", &number_of(&away.take()?), &taken)?;
        away.quiet()?;
    }
    applies(refusals == 2, "refuse half a megabyte for an absent client")
}

/// A clean session that acknowledges nothing: all that waits for it arrives in the end, or it is told 0x97 and closed.
fn messages_for_a_clean_session_that_is_full(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut slow = stage.login("slow").receive_maximum(1).open()?;
    slow.subscribe(&topic, 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..OFFERED {
        publisher.deliver(&large(&topic, number).qos(1))?;
    }
    for number in 0..OFFERED {
        match slow.next()? {
            Arrival::Publish(message) => {
                same("number of the delivery", &number_of(&message), &number)?;
                slow.puback(message.id);
            }
            Arrival::Disconnect(reason) => {
                ensure(reason.code == 0x97, "DISCONNECT code 0x97", &reason)?;
                slow.expect_end()?;
                return others_are_served(stage);
            }
            other => return Err(slow.differs("all messages, or DISCONNECT code 0x97", other)),
        }
    }
    slow.quiet()?;
    applies(false, "refuse to queue half a megabyte for a connected client")
}

/// More retained messages than the broker takes. In 5.0 those too many are refused with 0x97; where a refusal cannot be
/// said they are delivered and not retained. Those before them can be replaced, and clearing one makes room.
fn retained_messages(stage: &Stage<'_>) -> Check {
    let name = |number: u64| stage.topic(&format!("r/{number}"));
    let message = |number: u64| Message::new(name(number), number.to_string()).qos(1).retain();
    let mut live = stage.subscriber("live", &stage.topic("r/+"), 1)?;
    let mut publisher = stage.connect("pub")?;
    let mut taken = Vec::new();
    for number in 0..OFFERED {
        if is_taken(&mut publisher, &message(number))? {
            live.take_of(number.to_string())?;
            taken.push(number.to_string());
        }
    }
    live.quiet()?;
    let kept = replayed(stage, &stage.topic("r/+"))?;
    applies(kept.len() < OFFERED as usize, format!("refuse {OFFERED} retained messages"))?;
    let first: Vec<String> = (0..kept.len()).map(|number| number.to_string()).collect();
    same("what is retained", &kept, if stage.v5() { &taken } else { &first })?;
    publisher.publish(&message(OFFERED).qos(0));
    live.take_of(OFFERED.to_string())?;
    same("what is retained then", &replayed(stage, &stage.topic("r/+"))?, &kept)?;
    publisher.deliver(&Message::new(name(0), "new").qos(1).retain())?;
    same("what replaced the first", &replayed(stage, &name(0))?, &vec!["new".to_owned()])?;
    publisher.deliver(&Message::new(name(0), "").qos(1).retain())?;
    publisher.deliver(&message(OFFERED))?;
    same("what came into its place", &replayed(stage, &name(OFFERED))?, &vec![OFFERED.to_string()])
}

/// Subscriptions of one client until the broker takes no more: 0x97, before 5.0 0x80. The link stays, the others can be
/// replaced, and leaving one makes room.
fn subscriptions(stage: &Stage<'_>) -> Check {
    let name = |number: u64| stage.topic(&number.to_string());
    let mut subscriber = stage.connect("sub")?;
    let mut count = 0;
    let refusal = loop {
        if count == OFFERED {
            return applies(false, format!("refuse {OFFERED} subscriptions of one client"));
        }
        match subscriber.subscribe_to(&[(&name(count), options(1))], &[])?.codes[..] {
            [1] => count += 1,
            [code] => break code,
            _ => {}
        }
    };
    same("SUBACK code", &refusal, if stage.v5() { &0x97 } else { &0x80 })?;
    subscriber.subscribe(&name(0), 2)?;
    subscriber.unsubscribe(&name(1))?;
    subscriber.subscribe(&name(count), 1)?;
    let mut publisher = stage.connect("pub")?;
    for number in 0..=count {
        publisher.deliver(&Message::new(name(number), number.to_string()).qos(2))?;
    }
    for number in (0..=count).filter(|number| *number != 1) {
        let came = subscriber.take_of(number.to_string())?;
        same("QoS", &came.qos, if number == 0 { &2 } else { &1 })?;
    }
    subscriber.quiet()
}

/// Sessions until the broker takes no more: CONNACK 0x97, before 5.0 0x03, and a close; nothing behind that CONNECT is
/// processed. Sessions that exist can be resumed, and the end of one makes room.
fn sessions(stage: &Stage<'_>) -> Check {
    let login = |number: u64| stage.login(&format!("s{number}")).keep();
    let topic = stage.topic("a");
    let mut first = login(0).open()?;
    first.subscribe(&topic, 1)?;
    let mut count = 1;
    let mut refused = loop {
        if count == OFFERED {
            return applies(false, format!("refuse {OFFERED} sessions"));
        }
        let mut client = login(count).knock()?;
        client.publish(&Message::new(&topic, count.to_string()).qos(1).id(1));
        match client.next()? {
            Arrival::ConnAck(connack) if connack.code == 0 => {
                client.cut();
                first.take_of(count.to_string())?;
                count += 1;
            }
            Arrival::ConnAck(connack) => {
                same("CONNACK code", &connack.code, if stage.v5() { &0x97 } else { &3 })?;
                ensure(!connack.session_present, "session present 0 in a refusal", "1")?;
                break client;
            }
            other => return Err(client.differs("CONNACK", other)),
        }
    };
    refused.expect_end()?;
    first.quiet()?;
    login(count - 1).open_with_session(true)?.cut();
    stage.login(&format!("s{}", count - 1)).open()?.disconnect();
    login(count).open_with_session(false).map(drop)
}

/// Connections until the broker takes no more: the next is closed, with a CONNACK 0x97 (before 5.0: 0x03) or without, and
/// nothing behind its CONNECT is processed. Those that are open live on, and the end of one makes room.
fn connections(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut open = vec![stage.subscriber("first", &topic, 0)?];
    let mut refused = loop {
        if open.len() as u64 == OFFERED {
            return applies(false, format!("refuse {OFFERED} connections"));
        }
        let mut client = stage.login(&format!("c{}", open.len())).knock()?;
        match client.next()? {
            Arrival::ConnAck(connack) if connack.code == 0 => open.push(client),
            Arrival::ConnAck(connack) => {
                same("CONNACK code", &connack.code, if stage.v5() { &0x97 } else { &3 })?;
                client.expect_end()?;
                break client;
            }
            Arrival::Closed => break client,
            other => return Err(client.differs("CONNACK or a close", other)),
        }
    };
    refused.publish(&Message::new(&topic, "refused"));
    open.iter_mut().try_for_each(Peer::ping)?;
    open[0].quiet()?;
    if let Some(last) = open.pop() {
        last.disconnect();
    }
    let start = Instant::now();
    let mut another = stage.login("another").open();
    while another.is_err() && start.elapsed() < ROOM_WITHIN {
        stage.sleep_ms(50);
        another = stage.login("another").open();
    }
    another?.deliver(&Message::new(&topic, "room again"))?;
    open[0].take_of("room again").map(drop)
}

/// Whether the broker takes this message: in 5.0 its answer says so, before that it may only close.
fn is_taken(publisher: &mut Peer, message: &Message) -> Check<bool> {
    let id = publisher.fresh_id();
    publisher.publish(&message.clone().id(id));
    let arrival = publisher.next()?;
    match &arrival {
        Arrival::PubAck(ack) | Arrival::PubRec(ack) if ack.id == id && ack.code == 0x97 => Ok(false),
        Arrival::Closed if !publisher.v5() => Ok(false),
        Arrival::PubAck(ack) if ack.id == id && message.qos == 1 && matches!(ack.code, 0 | 0x10) => Ok(true),
        Arrival::PubRec(ack) if ack.id == id && message.qos == 2 && matches!(ack.code, 0 | 0x10) => {
            publisher.pubrel(id);
            publisher.expect_pubcomp(id)?;
            Ok(true)
        }
        _ => Err(publisher.differs("an acknowledgement, or a refusal that the publisher hears", &arrival)),
    }
}

/// What a new subscription gets to see at once.
fn replayed(stage: &Stage<'_>, topic: &str) -> Check<Vec<String>> {
    let mut late = stage.subscriber("late", topic, 1)?;
    let mut came: Vec<String> = late.take_all(0)?.iter().map(Message::text).collect();
    came.sort_by_key(|text| text.parse::<u64>().unwrap_or(u64::MAX));
    late.disconnect();
    Ok(came)
}

fn others_are_served(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("others");
    let mut subscriber = stage.subscriber("other", &topic, 2)?;
    for qos in 0..=2 {
        stage.connect("another")?.deliver(&Message::new(&topic, "served").qos(qos))?;
        subscriber.take_of("served")?;
    }
    Ok(())
}

/// A large message that begins with its number.
fn large(topic: &str, number: u64) -> Message {
    let mut message = Message::new(topic, format!("{number:08}")).with(Property::UserProperty("k", "v"));
    message.payload.resize(PAYLOAD_BYTES, b'x');
    message
}

fn number_of(message: &Message) -> u64 {
    message.text().get(..8).and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

fn applies(refused: bool, what: impl std::fmt::Display) -> Check {
    if refused {
        return Ok(());
    }
    Err(Failure::NotApplicable(format!("the broker does not {what}")))
}
