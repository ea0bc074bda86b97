//! When to dial again: exponential delays with jitter, bounded in number, and never against a server's final word.

use std::time::Duration;

use longwire_proto::ReasonCode;
use longwire_proto::client::Cause as Ending;

use crate::error::Cause;

/// What to do when a connection is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconnect {
    attempts_max: Option<u32>,
    first: Duration,
    longest: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect::forever()
    }
}

impl Reconnect {
    /// Dial again until it works: after 0.5 s, then after twice as long each time, up to a minute.
    pub fn forever() -> Self {
        Reconnect { attempts_max: None, first: Duration::from_millis(500), longest: Duration::from_mins(1) }
    }

    /// Dial again at most so many times in a row; a connection that lasts starts the count afresh.
    pub fn attempts(attempts: u32) -> Self {
        Reconnect { attempts_max: Some(attempts), ..Reconnect::forever() }
    }

    /// A lost connection is the end.
    pub fn never() -> Self {
        Reconnect::attempts(0)
    }

    /// The first and the longest delay. Each delay is shortened by a random part of up to a half, so that a
    /// thousand clients of one server do not come back at once.
    pub fn delays(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest.max(first);
        self
    }
}

/// The attempts since the last connection that lasted.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: Reconnect,
    attempts: u32,
    last: Duration,
}

impl Backoff {
    pub(crate) fn new(policy: Reconnect) -> Self {
        Backoff { policy, attempts: 0, last: Duration::ZERO }
    }

    /// The connection that just ended was accepted and lived so long. One that outlived the delay before it
    /// counts as a success; one that did not may be a server that accepts and throws out in a circle.
    pub(crate) fn lived(&mut self, lifetime: Duration) {
        if lifetime >= self.last {
            self.attempts = 0;
        }
    }

    /// Number of the next attempt and the delay before it; `None` to stop. `random` is any number.
    pub(crate) fn next(&mut self, random: u64) -> Option<(u32, Duration)> {
        if self.policy.attempts_max.is_some_and(|maximum| self.attempts >= maximum) {
            return None;
        }
        let factor = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let full = self.policy.first.saturating_mul(factor).min(self.policy.longest);
        self.attempts = self.attempts.saturating_add(1);
        self.last = full.mul_f64(0.5 + (random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0);
        Some((self.attempts, self.last))
    }
}

/// Whether dialling again could not help. A refusal that names the client as the problem, a takeover by another client
/// with the same id, and a move to another server are final; wrong credentials only if they are the same next time.
pub(crate) fn is_final(cause: &Cause, credentials_change: bool) -> bool {
    let Cause::Ended(Ending::Refused(refusal) | Ending::ByServer(refusal)) = cause else {
        return matches!(cause, Cause::Ended(Ending::Requested) | Cause::AuthenticationGivenUp(_));
    };
    if matches!(refusal.reason, ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized) {
        return !credentials_change;
    }
    matches!(
        refusal.reason,
        ReasonCode::UnsupportedProtocolVersion
            | ReasonCode::ClientIdentifierNotValid
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod
            | ReasonCode::SessionTakenOver
            | ReasonCode::TopicNameInvalid
            | ReasonCode::PayloadFormatInvalid
            | ReasonCode::RetainNotSupported
            | ReasonCode::QoSNotSupported
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use longwire_proto::client::Refusal;

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Reconnect::forever().delays(millis(100), millis(350)));
        let delays: Vec<_> = (0..4).map(|_| backoff.next(0)).collect();
        assert_eq!(
            delays,
            [Some((1, millis(50))), Some((2, millis(100))), Some((3, millis(175))), Some((4, millis(175)))]
        );
    }

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let mut backoff = Backoff::new(Reconnect::forever().delays(millis(100), millis(100)));
        let (_, most) = backoff.next(u64::MAX).expect("for ever");
        assert!(most > millis(99) && most <= millis(100), "{most:?}");
    }

    #[test]
    fn attempts_are_limited_until_a_connection_lasts() {
        let mut backoff = Backoff::new(Reconnect::attempts(1).delays(millis(100), millis(100)));
        assert!(backoff.next(0).is_some());
        backoff.lived(millis(10));
        assert_eq!(backoff.next(0), None);
        backoff.lived(millis(60));
        assert!(backoff.next(0).is_some());
    }

    #[test]
    fn never_means_never() {
        assert_eq!(Backoff::new(Reconnect::never()).next(0), None);
    }

    #[test]
    fn a_hundred_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(Reconnect::forever());
        for _ in 0..100 {
            backoff.next(u64::MAX);
        }
        assert!(backoff.next(0).is_some_and(|(_, delay)| delay == Duration::from_secs(30)));
    }

    fn refused(reason: ReasonCode) -> Cause {
        Cause::Ended(Ending::Refused(Refusal { reason, text: None, server_reference: None }))
    }

    #[test]
    fn a_busy_server_is_tried_again_and_wrong_credentials_are_not() {
        assert!(!is_final(&refused(ReasonCode::ServerBusy), false));
        assert!(!is_final(&Cause::Ended(Ending::ServerSilent), false));
        assert!(is_final(&refused(ReasonCode::BadUserNameOrPassword), false));
        assert!(is_final(&Cause::Ended(Ending::Requested), false));
    }

    #[test]
    fn credentials_that_change_may_be_better_next_time() {
        assert!(!is_final(&refused(ReasonCode::NotAuthorized), true));
        assert!(is_final(&refused(ReasonCode::Banned), true));
    }
}
