//! The owner's book: what was asked of the client, and what became of it.

use std::collections::BTreeMap;

use longwire_proto::client::{Outcome, RequestId};
use longwire_proto::packet::QoS;
use longwire_proto::reason::ReasonCode;

use super::server::Server;

#[derive(Default)]
pub(super) struct Owner {
    serials: u32,
    /// Without an outcome yet.
    pub(super) publications: BTreeMap<RequestId, (u32, QoS)>,
    /// Without an answer yet: whether it is a SUBSCRIBE, and of how many filters.
    pub(super) requests: BTreeMap<RequestId, (bool, usize)>,
}

impl Owner {
    /// A number for the next publication; its payload begins with it.
    pub(super) fn next_serial(&mut self) -> u32 {
        self.serials += 1;
        self.serials
    }

    pub(super) fn published(&mut self, request: RequestId, serial: u32, qos: QoS) {
        assert!(self.publications.insert(request, (serial, qos)).is_none(), "a call has a name of its own");
    }

    /// A publication has come to its end, which must be one that the server gave it. Tells which kind of end.
    pub(super) fn ended(&mut self, request: RequestId, outcome: Outcome, server: &mut Server) -> u32 {
        let (serial, qos) = self.publications.remove(&request).expect("one outcome for each publication");
        match outcome {
            Outcome::Acknowledged(reason) if qos == QoS::AtMostOnce => {
                assert_eq!(reason, ReasonCode::Success);
                0
            }
            Outcome::Acknowledged(reason) | Outcome::Refused(reason) => {
                assert_eq!(server.ended.remove(&serial), Some(reason), "what the server said of {serial}");
                assert_eq!(reason.is_error(), matches!(outcome, Outcome::Refused(_)));
                1 + u32::from(reason.is_error())
            }
            Outcome::Unsendable(_) => {
                server.given_up(serial);
                3
            }
            Outcome::SessionLost => {
                assert!(server.taken.contains(&serial), "{serial} was not taken, and could be sent again");
                4
            }
        }
    }

    pub(super) fn answered(&mut self, request: RequestId, subscribe: bool, codes: usize) {
        let asked = self.requests.remove(&request).expect("one answer to each request");
        assert_eq!(asked, (subscribe, codes));
    }

    /// Everything was answered.
    pub(super) fn check_content(&self) {
        assert!(self.publications.is_empty(), "{:?} wait for ever", self.publications);
        assert!(self.requests.is_empty(), "{:?} wait for ever", self.requests);
    }
}
