//! What belongs to a session: every part outlives the connection, and nothing outlives the session. Hard cases C.

use longwire_proto::property::Property;

use super::scenes;
use crate::failure::{Check, ensure, same};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::{Login, Stage};

scenes! {
    both every_part_of_a_session_outlives_its_connection "A02 A04 A05 C24 U5-45" "4.1.0-1 3.1.2-4 3.1.2-5 4.4.0-1" "3.1.2-5 3.1.2-23 4.4.0-1";
    both every_part_of_a_session_ends_with_it "C19 C22" "3.1.2-6 3.2.2-1" "3.1.2-4 3.2.2-2";
    v5 whoever_comes_settles_the_delayed_will_of_an_absent_session "U5-44 D03 D06" "3.1.2-8 3.1.2-10 3.1.3-9";
    v5 session_expiries_of_every_kind "U5-07 C06" "3.1.2-23 4.1.0-2";
}

/// A session with something of everything: a subscription, a delivery before PUBACK, one before PUBREC, one before
/// PUBCOMP, an incoming id before PUBREL, two queued messages. Two connections in a row find all of it, then it is done.
fn every_part_of_a_session_outlives_its_connection(stage: &Stage<'_>) -> Check {
    let kept = stage.login("dev").keep();
    let mut witness = stage.subscriber("witness", &stage.topic("out"), 2)?;
    let open = leave_everything_open(stage, &kept)?;

    let mut device = kept.open_with_session(true)?;
    let mut again = comes_again(&mut device, &open)?;
    for (payload, qos) in [("queued 1", 1), ("queued 2", 2)] {
        let queued = device.message_of(payload)?;
        ensure(queued.qos == qos && !queued.dup, format!("QoS {qos} and DUP 0"), &queued)?;
        again.publishes.push(queued);
    }
    device.publish(&outgoing(stage).dup());
    device.expect_pubrec(7)?;
    device.quiet()?;
    device.cut();

    let mut device = kept.open_with_session(true)?;
    comes_again(&mut device, &again)?;
    for message in &again.publishes {
        device.acknowledge(message)?;
    }
    device.pubcomp(again.released);
    device.pubrel(7);
    device.expect_pubcomp(7)?;
    witness.take_of("out")?;
    stage.connect("pub")?.deliver(&Message::new(stage.topic("in"), "live").qos(2))?;
    same("QoS", &device.take_of("live")?.qos, &2)?;
    device.quiet()?;
    device.cut();
    kept.open_with_session(true)?.quiet()?;
    witness.quiet()
}

/// The same session, but a clean one comes: nothing is sent, no subscription works, and the incoming id is new.
fn every_part_of_a_session_ends_with_it(stage: &Stage<'_>) -> Check {
    let kept = stage.login("dev").keep();
    let mut witness = stage.subscriber("witness", &stage.topic("out"), 2)?;
    leave_everything_open(stage, &kept)?;
    if !stage.settings.lenient {
        // We deliver with PUBREC; a broker that delivers at PUBREL never delivers the first.
        witness.take_of("out")?;
    }
    let mut device = stage.login("dev").open_with_session(false)?;
    stage.connect("pub")?.deliver(&Message::new(stage.topic("in"), "nobody").qos(2))?;
    device.deliver(&outgoing(stage).dup())?;
    device.quiet()?;
    witness.take_of("out")?;
    witness.quiet()?;
    device.disconnect();
    kept.open_with_session(false)?.quiet()
}

/// A session is away and its will waits. Who resumes it cancels the will; who starts a clean one ends it, and then the
/// will is published at once.
fn whoever_comes_settles_the_delayed_will_of_an_absent_session(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("will");
    let mut watcher = stage.subscriber("watcher", &topic, 1)?;
    let will = Message::new(&topic, "gone").qos(1).with(Property::WillDelayInterval(30));
    let kept = stage.login("dev").keep();
    for is_clean in [false, true] {
        kept.clone().will(will.clone()).open()?.cut();
        watcher.quiet()?;
        kept.clone().clean(is_clean).open_with_session(!is_clean)?.disconnect();
        if is_clean {
            watcher.take_of("gone")?;
        }
        watcher.quiet()?;
    }
    Ok(())
}

/// No expiry and 0: gone with the connection. 1: gone after two seconds. 2 and the largest: still there then.
fn session_expiries_of_every_kind(stage: &Stage<'_>) -> Check {
    let expiries = [None, Some(0), Some(1), Some(10), Some(u32::MAX)];
    let login = |number: usize| {
        let login = stage.login(&format!("dev{number}")).clean(false);
        expiries[number].map_or(login.clone(), |secs| login.expiry(secs))
    };
    for number in 0..expiries.len() {
        login(number).open_with_session(false)?.cut();
    }
    for number in [0, 1] {
        login(number).open_with_session(false)?.cut();
    }
    login(4).open_with_session(true)?.disconnect();
    stage.sleep_ms(2300);
    for (number, is_there) in [(0, false), (1, false), (2, false), (3, true), (4, true)] {
        login(number).open_with_session(is_there)?.disconnect();
    }
    Ok(())
}

/// What a session has open towards its client.
struct Open {
    publishes: Vec<Message>,
    /// The id whose PUBCOMP is missing.
    released: u16,
}

/// Leaves a session behind with something of everything.
fn leave_everything_open(stage: &Stage<'_>, kept: &Login<'_>) -> Check<Open> {
    let topic = stage.topic("in");
    let mut device = kept.open_with_session(false)?;
    device.subscribe(&topic, 2)?;
    let mut publisher = stage.connect("pub")?;
    for qos in [1, 2, 2] {
        publisher.deliver(&Message::new(&topic, "open").qos(qos))?;
    }
    let publishes = vec![device.message_of("open")?, device.message_of("open")?];
    let released = device.message_of("open")?.id;
    device.pubrec(released);
    device.expect_pubrel(released)?;
    device.publish(&outgoing(stage));
    device.expect_pubrec(7)?;
    device.cut();
    publisher.deliver(&Message::new(&topic, "queued 1").qos(1))?;
    publisher.deliver(&Message::new(&topic, "queued 2").qos(2))?;
    Ok(Open { publishes, released })
}

/// What the session publishes itself.
fn outgoing(stage: &Stage<'_>) -> Message {
    Message::new(stage.topic("out"), "out").qos(2).id(7)
}

/// All that is open comes again, each PUBLISH as it was, with DUP 1, in order; PUBREL may come anywhere among them.
fn comes_again(device: &mut Peer, open: &Open) -> Check<Open> {
    let mut again = Open { publishes: Vec::new(), released: 0 };
    while again.publishes.len() < open.publishes.len() || again.released == 0 {
        match device.next()? {
            Arrival::Publish(message) => again.publishes.push(message),
            Arrival::PubRel(ack) if again.released == 0 => again.released = ack.id,
            other => return Err(device.differs("what is open, again", other)),
        }
    }
    same("id of PUBREL", &again.released, &open.released)?;
    let expected: Vec<Message> = open.publishes.iter().cloned().map(Message::dup).collect();
    same("each open PUBLISH with DUP 1:", &again.publishes, &expected)?;
    Ok(again)
}
