//! When a will is published: every way a connection can end, with every kind of delay and session expiry, side by side.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use longwire_proto::ReasonCode;
use longwire_proto::property::Property;

use super::scenes;
use crate::craft;
use crate::failure::{Check, ensure, joined};
use crate::message::{Arrival, Message};
use crate::peer::Peer;
use crate::stage::{Login, Stage};

scenes! {
    v5 every_end_delay_and_expiry "D01 D02 D03 D04 D05 D08 U5-40" "3.1.2-7 3.1.2-8 3.1.2-10 3.1.3-9 3.14.4-3";
    v311 every_end "D01 D08 U5-40" "3.1.2-8 3.1.2-10 3.1.4-2 3.14.4-3";
}

/// How a connection with a will ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Proper,
    WithWill,
    Broken,
    ProtocolError,
    /// Another connection resumes the session.
    Resumed,
    /// Another connection starts a clean session.
    Replaced,
}

const ENDS: [End; 6] =
    [End::Proper, End::WithWill, End::Broken, End::ProtocolError, End::Resumed, End::Replaced];

/// Seconds between the end of a connection and its will.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    After(u32),
    Never,
}

/// One way to end, one delay, one session expiry; the latter two in seconds.
#[derive(Clone, Copy, Debug)]
struct Case {
    end: End,
    delay: u32,
    expiry: u32,
}

impl Case {
    fn due(self) -> Due {
        let until_the_session_ends = match self.end {
            End::Proper => return Due::Never,
            End::Resumed if self.expiry > 0 && self.delay > 0 => return Due::Never,
            End::Replaced => 0,
            _ => self.expiry,
        };
        Due::After(self.delay.min(until_the_session_ends))
    }

    fn name(self) -> String {
        format!("{:?}-{}-{}", self.end, self.delay, self.expiry)
    }
}

/// Six ends, delays of 0, 1 and 30 s, expiries of 0, 1 and 60 s: each will comes when it is due, once, or never.
fn every_end_delay_and_expiry(stage: &Stage<'_>) -> Check {
    let mut cases = Vec::new();
    for end in ENDS {
        for delay in [0, 1, 30] {
            cases.extend([0, 1, 60].map(|expiry| Case { end, delay, expiry }));
        }
    }
    play(stage, &cases)
}

/// Before 5.0 there is no delay: each will comes at once or never.
fn every_end(stage: &Stage<'_>) -> Check {
    play(stage, &ENDS.map(|end| Case { end, delay: 0, expiry: 60 }))
}

/// Ends a connection for each case and sees when the wills come.
fn play(stage: &Stage<'_>, cases: &[Case]) -> Check {
    let mut watcher = stage.subscriber("watcher", &stage.topic("#"), 0)?;
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| cases.iter().map(|case| end(stage, *case)).collect::<Check<Vec<_>>>());
        let mut came: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        let mut deadline = None;
        while deadline.is_none_or(|deadline| Instant::now() < deadline) {
            if deadline.is_none() && ending.is_finished() {
                deadline = Some(Instant::now() + watched_for(stage));
            }
            match watcher.next_within(Duration::from_millis(20))? {
                Arrival::Publish(will) => came.entry(will.topic).or_default().push(Instant::now()),
                Arrival::Silence => {}
                other => return Err(watcher.differs("wills", other)),
            }
        }
        let ended = joined(ending.join())?;
        cases.iter().zip(&ended).try_for_each(|(case, ended)| {
            let wills = came.get(&stage.topic(&case.name())).map_or(&[][..], Vec::as_slice);
            is_in_time(stage, *case, ended.at, wills)
        })
    })
}

/// How long wills are waited for: those due after a second come, those due later do not.
fn watched_for(stage: &Stage<'_>) -> Duration {
    Duration::from_secs(1) + stage.timer_slack()
}

/// When a connection ended, and the one that took its session, which stays open.
struct Ended {
    at: Instant,
    _successor: Option<Peer>,
}

/// Connects a client of its own for this case and ends its connection.
fn end(stage: &Stage<'_>, case: Case) -> Check<Ended> {
    let will = Message::new(stage.topic(&case.name()), "gone");
    let will = if case.delay > 0 { will.with(Property::WillDelayInterval(case.delay)) } else { will };
    let login: Login<'_> = stage.login(&case.name()).clean(false).expiry(case.expiry);
    let mut device = login.clone().will(will).open()?;
    let at = Instant::now();
    let mut successor = None;
    match case.end {
        End::Proper => device.disconnect(),
        End::WithWill if stage.v5() => device.leave(ReasonCode::DisconnectWithWill, &[]),
        End::Broken | End::WithWill => device.cut(),
        End::ProtocolError => {
            device.raw("PUBLISH QoS 3", &craft::publish(stage.version, 6, b"a", Some(1), &[], b""));
            device.expect_close(0x81, &[])?;
        }
        End::Resumed => successor = Some(login.open()?),
        End::Replaced => successor = Some(login.clean(true).open()?),
    }
    Ok(Ended { at, _successor: successor })
}

fn is_in_time(stage: &Stage<'_>, case: Case, ended: Instant, wills: &[Instant]) -> Check {
    let after: Vec<Duration> = wills.iter().map(|came| came.duration_since(ended)).collect();
    let fits = match (case.due(), &after[..]) {
        (Due::Never, []) => true,
        (Due::After(secs), []) => Duration::from_secs(secs.into()) > watched_for(stage),
        (Due::After(secs), [took]) => {
            let due = Duration::from_secs(secs.into());
            *took + Duration::from_millis(100) >= due && *took < due + stage.timer_slack()
        }
        _ => false,
    };
    ensure(
        fits,
        format_args!("the will of {case:?} due {:?} s", case.due()),
        format_args!("wills after {after:?}"),
    )
}
