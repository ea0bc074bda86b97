//! The clocks of a connection: for CONNECT, for the rest of a packet, and keep-alive. Hard cases I06 and I12 to I14.

use std::time::{Duration, Instant};

use super::scenes;
use crate::craft::{self};
use crate::failure::{Check, ensure};
use crate::message::Message;
use crate::peer::Peer;
use crate::stage::Stage;

scenes! {
    both half_a_packet_is_closed_by_the_packet_timer "I06" "4.8.0-1" "4.13.1-1";
    both silent_socket_is_closed "I06 U3-06 U5-16" "3.1.0-1" "3.1.0-1";
    both half_a_connect_is_closed "I06 U3-06 U5-16" "3.1.0-1" "3.1.0-1";
    both keep_alive_counts_what_the_client_sends "I14" "3.1.2-24" "3.1.2-22";
    both publish_still_arriving_keeps_the_link_alive "I12 U3-05" "3.1.2-24" "3.1.2-22";
    both keep_alive_zero_and_largest_never_close "I13" "3.1.2-24" "3.1.2-22";
    both pings_keep_the_link_alive "I13" "3.1.2-24 3.12.4-1" "3.1.2-22 3.12.4-1";
    both keep_alive_of_two_seconds "I13" "3.1.2-24" "3.1.2-22";
}

/// After CONNECT, half a PUBLISH and then nothing, without keep-alive: the packet timer closes.
fn half_a_packet_is_closed_by_the_packet_timer(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("client").keep_alive(0).open()?;
    client.raw("half a PUBLISH", &[0x30, 20, 0, 1, b'a']);
    closes_after(&mut client, stage.settings.packet_timeout_secs)
}

/// A socket that says nothing is closed when the connect timer ends.
fn silent_socket_is_closed(stage: &Stage<'_>) -> Check {
    closes_after(&mut stage.dial("silent")?, stage.settings.connect_timeout_secs)
}

/// Half a CONNECT, then a byte now and then: closed when the connect timer ends.
fn half_a_connect_is_closed(stage: &Stage<'_>) -> Check {
    let bytes = stage.login("client").bytes();
    let mut client = stage.dial("client")?;
    client.raw("half a CONNECT", &bytes[..8]);
    let start = Instant::now();
    let limit = Duration::from_secs(stage.settings.connect_timeout_secs);
    stage.sleep_ms(1000);
    client.raw("one byte more", &bytes[8..9]);
    client.closes_within((limit + GRACE).saturating_sub(start.elapsed()))?;
    ensure(start.elapsed() + Duration::from_millis(200) >= limit, "a close by the timer", "an earlier one")
}

/// Keep-alive 1, the client silent, the broker busy sending to it: closed all the same.
fn keep_alive_counts_what_the_client_sends(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut silent = stage.login("silent").keep_alive(1).open()?;
    silent.subscribe(&topic, 0)?;
    let start = Instant::now();
    let mut publisher = stage.connect("pub")?;
    while start.elapsed() < Duration::from_millis(2500) {
        publisher.publish(&Message::new(&topic, "x"));
        std::thread::sleep(Duration::from_millis(50));
    }
    silent.closes_within(stage.timer_slack())?;
    publisher.ping()
}

/// Keep-alive 1 and a PUBLISH whose bytes come one by one for 2.4 s: not closed, and delivered.
fn publish_still_arriving_keeps_the_link_alive(stage: &Stage<'_>) -> Check {
    let topic = stage.topic("a");
    let mut subscriber = stage.subscriber("sub", &topic, 0)?;
    let mut slow = stage.login("slow").keep_alive(1).open()?;
    let packet = craft::publish(stage.version, 0, topic.as_bytes(), None, &[], b"slowly");
    let (last, first) = packet.split_last().ok_or_else(|| slow.differs("a packet", "none"))?;
    let pause = Duration::from_millis(2400 / packet.len() as u64);
    for byte in first {
        slow.raw("one byte", &[*byte]);
        std::thread::sleep(pause);
    }
    slow.raw("the last byte", &[*last]);
    subscriber.take_of("slowly")?;
    slow.ping()
}

/// Keep-alive 0 and 65,535: three silent seconds do not matter.
fn keep_alive_zero_and_largest_never_close(stage: &Stage<'_>) -> Check {
    let mut off = stage.login("off").keep_alive(0).open()?;
    let mut longest = stage.login("longest").keep_alive(u16::MAX).open()?;
    off.quiet_for(Duration::from_secs(3))?;
    longest.quiet()?;
    off.ping()
}

/// Keep-alive 1 with a PINGREQ each second: alive after four seconds.
fn pings_keep_the_link_alive(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("client").keep_alive(1).open()?;
    for _ in 0..4 {
        client.quiet_for(Duration::from_millis(950))?;
        client.ping()?;
    }
    Ok(())
}

/// Keep-alive 2: alive at 2.8 s, closed at 3 s or a little later.
fn keep_alive_of_two_seconds(stage: &Stage<'_>) -> Check {
    let mut client = stage.login("client").keep_alive(2).open()?;
    client.quiet_for(Duration::from_millis(2800))?;
    client.closes_within(Duration::from_millis(200) + stage.timer_slack()).map(drop)
}

/// How late a timer of the broker may fire.
const GRACE: Duration = Duration::from_secs(4);

/// The broker closes this connection when a timer of so many seconds ends, not before and soon after.
fn closes_after(peer: &mut Peer, secs: u64) -> Check {
    let limit = Duration::from_secs(secs);
    let took = peer.closes_within(limit + GRACE)?;
    ensure(
        took + Duration::from_millis(200) >= limit,
        format!("a close after {limit:?}"),
        format!("{took:?}"),
    )
}
