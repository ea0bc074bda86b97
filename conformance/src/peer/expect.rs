//! What a peer expects, in the words of hard cases: acknowledgements, messages, silence and closes.

use std::time::{Duration, Instant};

use super::{Peer, SILENCE};
use crate::failure::{Check, ensure};
use crate::message::{Ack, Arrival, Message};

impl Peer {
    /// CONNACK with success.
    pub(crate) fn expect_connack(&mut self) -> Check {
        let connack = self.expect("CONNACK with code 0x00", |arrival| match arrival {
            Arrival::ConnAck(connack) if connack.code == 0 => Some(connack.clone()),
            _ => None,
        })?;
        self.connack = connack;
        Ok(())
    }

    /// PUBACK of success; 0x10 (no subscribers) counts as one.
    pub(crate) fn expect_puback(&mut self, id: u16) -> Check {
        self.wait(format_args!("PUBACK id {id} of success"), |arrival| match arrival {
            Arrival::PubAck(ack) => accepted(ack, id),
            _ => None,
        })
    }

    /// PUBREC of success; 0x10 (no subscribers) counts as one.
    pub(crate) fn expect_pubrec(&mut self, id: u16) -> Check {
        self.wait(format_args!("PUBREC id {id} of success"), |arrival| match arrival {
            Arrival::PubRec(ack) => accepted(ack, id),
            _ => None,
        })
    }

    /// PUBREL with code 0x00.
    pub(crate) fn expect_pubrel(&mut self, id: u16) -> Check {
        self.wait(format_args!("PUBREL id {id} code 0x00"), |arrival| match arrival {
            Arrival::PubRel(ack) if ack.id == id && ack.code == 0 => Some(()),
            _ => None,
        })
    }

    /// PUBCOMP with code 0x00.
    pub(crate) fn expect_pubcomp(&mut self, id: u16) -> Check {
        self.expect_pubcomp_code(id, 0, &[])
    }

    /// PUBCOMP with one of these codes.
    pub(crate) fn expect_pubcomp_code_of(&mut self, id: u16, codes: &[u8]) -> Check {
        self.wait(format_args!("PUBCOMP id {id} with one of {codes:02X?}"), |arrival| match arrival {
            Arrival::PubComp(ack) if ack.id == id && codes.contains(&ack.code) => Some(()),
            _ => None,
        })
    }

    /// PUBCOMP with this code (always 0x00 before 5.0); `also` is accepted from lenient targets.
    pub(crate) fn expect_pubcomp_code(&mut self, id: u16, code: u8, also: &[u8]) -> Check {
        let code = if self.v5() { code } else { 0 };
        let lenient = self.lenient;
        self.wait(format_args!("PUBCOMP id {id} code 0x{code:02X}"), |arrival| match arrival {
            Arrival::PubComp(ack) if ack.id == id => {
                (ack.code == code || lenient && also.contains(&ack.code)).then_some(())
            }
            _ => None,
        })
    }

    /// A PUBLISH, not acknowledged.
    pub(crate) fn message(&mut self) -> Check<Message> {
        self.expect("a PUBLISH", |arrival| match arrival {
            Arrival::Publish(message) => Some(message.clone()),
            _ => None,
        })
    }

    /// A PUBLISH with this payload, not acknowledged.
    pub(crate) fn message_of(&mut self, payload: impl AsRef<[u8]>) -> Check<Message> {
        let payload = payload.as_ref();
        let text = String::from_utf8_lossy(payload).into_owned();
        self.expect(format_args!("a PUBLISH with payload {text:?}"), |arrival| match arrival {
            Arrival::Publish(message) if message.payload == payload => Some(message.clone()),
            _ => None,
        })
    }

    /// A PUBLISH, its hand-shake completed.
    pub(crate) fn take(&mut self) -> Check<Message> {
        let message = self.message()?;
        self.acknowledge(&message)?;
        Ok(message)
    }

    /// A PUBLISH with this payload, its hand-shake completed.
    pub(crate) fn take_of(&mut self, payload: impl AsRef<[u8]>) -> Check<Message> {
        let message = self.message_of(payload)?;
        self.acknowledge(&message)?;
        Ok(message)
    }

    /// So many messages, and all that come after them until it is quiet, hand-shakes completed.
    pub(crate) fn take_all(&mut self, at_least: usize) -> Check<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let wait = if messages.len() < at_least { self.patience } else { SILENCE };
            match self.next_within(wait)? {
                Arrival::Publish(message) => {
                    self.acknowledge(&message)?;
                    messages.push(message);
                }
                Arrival::Silence => return Ok(messages),
                other => return Err(self.differs("PUBLISHes, then nothing", &other)),
            }
        }
    }

    /// Nothing more comes, and the link still answers.
    pub(crate) fn quiet(&mut self) -> Check {
        self.quiet_for(SILENCE)?;
        self.ping()?;
        match self.aside.pop_front() {
            None => Ok(()),
            Some(arrival) => Err(self.differs("nothing", &arrival)),
        }
    }

    /// Nothing comes for this long.
    pub(crate) fn quiet_for(&mut self, time: Duration) -> Check {
        match self.next_within(time)? {
            Arrival::Silence => Ok(()),
            other => Err(self.differs(format_args!("nothing for {} ms", time.as_millis()), &other)),
        }
    }

    /// 5.0: DISCONNECT with this code, then the end; before 5.0: the end.
    ///
    /// From a lenient target a code of `also` or a bare close is accepted too.
    pub(crate) fn expect_close(&mut self, code: u8, also: &[u8]) -> Check {
        let arrival = self.next()?;
        match &arrival {
            Arrival::Closed if !self.v5() || self.lenient => Ok(()),
            Arrival::Disconnect(reason)
                if self.v5() && (reason.code == code || self.lenient && also.contains(&reason.code)) =>
            {
                self.expect_end()
            }
            _ if self.v5() => {
                Err(self.differs(format_args!("DISCONNECT code 0x{code:02X} and a close"), &arrival))
            }
            _ => Err(self.differs("a close", &arrival)),
        }
    }

    /// The end of the connection and no packet before it.
    pub(crate) fn expect_end(&mut self) -> Check {
        self.expect("a close", |arrival| (*arrival == Arrival::Closed).then_some(()))
    }

    /// The refusal of a CONNECT: CONNACK with the code of this version and a close.
    ///
    /// `None` for 3.1.1 means that no code fits and the broker just closes. From a lenient target a bare close or
    /// a 5.0 code of `also` is accepted too.
    pub(crate) fn expect_refusal(&mut self, code_v5: u8, also: &[u8], code_v311: Option<u8>) -> Check {
        let code = if self.v5() { Some(code_v5) } else { code_v311 };
        let arrival = self.next()?;
        match (&arrival, code) {
            (Arrival::Closed, None) => Ok(()),
            (Arrival::Closed, _) if self.lenient => Ok(()),
            (Arrival::ConnAck(connack), None) if self.lenient && connack.code != 0 => self.expect_end(),
            (Arrival::ConnAck(connack), Some(code))
                if connack.code == code || self.lenient && also.contains(&connack.code) =>
            {
                ensure(!connack.session_present, "session present 0 in a refusal", &arrival)?;
                self.expect_end()
            }
            (_, Some(code)) => {
                Err(self.differs(format_args!("CONNACK code 0x{code:02X} and a close"), &arrival))
            }
            (_, None) => Err(self.differs("a close without CONNACK", &arrival)),
        }
    }

    /// Waits for the end of the connection, whatever code explains it, and returns how long it took.
    pub(crate) fn closes_within(&mut self, longest: Duration) -> Check<Duration> {
        let start = Instant::now();
        loop {
            match self.next_within(longest.saturating_sub(start.elapsed()))? {
                Arrival::Closed => return Ok(start.elapsed()),
                Arrival::Disconnect(_) | Arrival::Publish(_) => {}
                other => return Err(self.differs(format_args!("a close within {longest:?}"), &other)),
            }
        }
    }
}

fn accepted(ack: &Ack, id: u16) -> Option<()> {
    (ack.id == id && matches!(ack.code, 0 | 0x10)).then_some(())
}
