//! Where to dial next: home, or where a server has sent the client by a Server Reference `[U5-55]`.
//!
//! *Use another server* is a detour, left as soon as a connection on it fails; *server moved* makes a new home. A circle of
//! servers that send the client to each other ends after a few hops.

use std::collections::VecDeque;

use longwire_proto::ReasonCode;
use longwire_proto::client::Cause as Ending;

use crate::error::Cause;
use crate::transport::Transport;

/// References followed in a row without a connection that lasts.
const HOPS_MAX: u32 = 5;

pub(crate) struct Itinerary {
    home: Transport,
    /// Other servers to try, before home.
    detours: VecDeque<Transport>,
    hops: u32,
    follows: bool,
}

impl Itinerary {
    pub(crate) fn new(home: Transport, follows: bool) -> Self {
        Itinerary { home, detours: VecDeque::new(), hops: 0, follows }
    }

    /// The way to take.
    pub(crate) fn next(&self) -> &Transport {
        self.detours.front().unwrap_or(&self.home)
    }

    /// A connection was accepted and lasted.
    pub(crate) fn arrived(&mut self) {
        self.hops = 0;
    }

    /// The connection is gone, or could not be made.
    pub(crate) fn failed(&mut self) {
        self.detours.pop_front();
    }

    /// Turns to the servers that the ending of a connection names; `false` if it names none, or too many in a row did.
    pub(crate) fn redirect(&mut self, cause: &Cause) -> bool {
        let Cause::Ended(Ending::Refused(refusal) | Ending::ByServer(refusal)) = cause else { return false };
        let moved = refusal.reason == ReasonCode::ServerMoved;
        if !self.follows
            || self.hops >= HOPS_MAX
            || !(moved || refusal.reason == ReasonCode::UseAnotherServer)
        {
            return false;
        }
        // The standard leaves the form open, and shows hosts with or without a port, separated by spaces.
        let references = refusal.server_reference.as_deref().unwrap_or_default().split_whitespace();
        let mut servers: VecDeque<Transport> =
            references.filter_map(|reference| self.home.to(reference)).collect();
        if servers.is_empty() {
            return false;
        }
        self.hops += 1;
        if moved && let Some(home) = servers.pop_front() {
            self.home = home;
        }
        self.detours = servers;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use longwire_proto::client::Refusal;

    fn itinerary(follows: bool) -> Itinerary {
        let (_, dial, _) = Options::new("home").into_settings().expect("valid");
        Itinerary::new(dial.transport, follows)
    }

    fn sent_to(reason: ReasonCode, reference: &str) -> Cause {
        let server_reference = Some(reference.to_owned());
        Cause::Ended(Ending::Refused(Refusal { reason, text: None, server_reference }))
    }

    fn place(itinerary: &Itinerary) -> String {
        itinerary.next().place.to_string()
    }

    #[test]
    fn another_server_is_a_detour() {
        let mut itinerary = itinerary(true);
        assert!(itinerary.redirect(&sent_to(ReasonCode::UseAnotherServer, "one two:99 [::1]:7")));
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(place(&itinerary));
            itinerary.failed();
        }
        assert_eq!(places, ["one:1883", "two:99", "[::1]:7", "home:1883"]);
    }

    #[test]
    fn a_server_that_moved_is_home_where_it_is_now() {
        let mut itinerary = itinerary(true);
        assert!(itinerary.redirect(&sent_to(ReasonCode::ServerMoved, "new")));
        itinerary.failed();
        assert_eq!(place(&itinerary), "new:1883");
    }

    #[test]
    fn a_circle_of_servers_ends() {
        let mut itinerary = itinerary(true);
        let circle = sent_to(ReasonCode::UseAnotherServer, "one");
        assert_eq!((0..10).filter(|_| itinerary.redirect(&circle)).count(), 5);
        itinerary.arrived();
        assert!(itinerary.redirect(&circle));
    }

    #[test]
    fn without_a_reference_or_a_wish_to_follow_there_is_no_way() {
        assert!(!itinerary(true).redirect(&sent_to(ReasonCode::ServerMoved, " ")));
        assert!(!itinerary(true).redirect(&sent_to(ReasonCode::ServerBusy, "one")));
        assert!(!itinerary(false).redirect(&sent_to(ReasonCode::ServerMoved, "one")));
    }
}
