//! The task behind a client: it dials, moves bytes between the socket and the machine, keeps time, and dials again.
//!
//! Neighbours: `shared` holds the machine, `reconnect` decides about the next attempt. The driver reads only while
//! there is room for what it may read: messages have a bounded queue, answers a bounded output. To it
//! every transport is the same stream of bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use longwire_proto::ReasonCode;
use longwire_proto::client as machine;
use longwire_proto::client::Received;
use longwire_proto::property::Properties;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::Cause;
use crate::event::Event;
use crate::message::{Delivery, Message};
use crate::options::Dial;
use crate::reconnect::{Backoff, is_final};
use crate::shared::{Shared, State};

/// Bytes read at once, and the capacity an idle connection's buffer shrinks to.
const READ_BYTES: usize = 16 * 1024;
/// Bytes waiting to be written past which nothing more is read: a server that does not take our answers gets no
/// further questions answered.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// How long the last packets may take to leave, and the server to close after them.
const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct Driver {
    shared: Arc<Shared>,
    dial: Dial,
    messages: mpsc::Sender<Delivery>,
    /// The first connection must succeed.
    once_first: bool,
}

/// What the turn of a connection found.
struct Turn {
    over: Option<machine::Cause>,
    deadline: Option<Instant>,
    may_read: bool,
}

/// What became of a challenge, if there was one.
#[derive(PartialEq, Eq)]
enum Answer {
    Given,
    GivenUp,
}

/// What a connection waited for.
enum Happening {
    Read(io::Result<usize>),
    Wrote(io::Result<usize>),
    Flushed(io::Result<()>),
    /// The message that was stuck has found its place, or nobody wants it any more.
    Unstuck,
    /// A call was made, or time has passed.
    Woken,
}

/// The two directions of one connection.
struct Pipe<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    /// Nothing of what was written waits inside the transport.
    flushed: bool,
    /// A message for which there was no room; nothing is read until there is.
    stuck: Option<Delivery>,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        dial: Dial,
        messages: mpsc::Sender<Delivery>,
        once_first: bool,
    ) -> Self {
        Driver { shared, dial, messages, once_first }
    }

    /// The server, in words.
    pub(crate) fn place(&self) -> String {
        self.dial.transport.place.to_string()
    }

    /// Connects, and connects again, until that is not wanted any more or cannot help.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.dial.reconnect.clone());
        let cause = loop {
            let (cause, lifetime) = self.connection().await;
            self.shared.state.send_replace(State::Offline);
            self.shared.emit(Event::Disconnected(cause.clone()));
            if let Some(lifetime) = lifetime {
                self.once_first = false;
                backoff.lived(lifetime);
            }
            if self.shared.is_stopping() || self.once_first || is_final(&cause) {
                break cause;
            }
            let Some((attempt, delay)) = backoff.next(crate::random::number()) else { break cause };
            self.shared.emit(Event::Reconnecting { attempt, delay });
            tokio::select! {
                () = sleep(delay) => {}
                () = self.shared.stopped() => break Cause::Ended(machine::Cause::Requested),
            }
        };
        self.shared.end(cause);
    }

    /// One connection from dialling to its end, and how long it was accepted, if it was.
    async fn connection(&mut self) -> (Cause, Option<Duration>) {
        let shared = Arc::clone(&self.shared);
        let dialled = tokio::select! {
            dialled = self.dial.transport.open() => dialled,
            () = shared.stopped() => return (Cause::Ended(machine::Cause::Requested), None),
        };
        let stream = match dialled {
            Ok(stream) => stream,
            Err(error) => return (Cause::Unreachable(Arc::new(error)), None),
        };
        let began = Instant::now();
        {
            let mut core = self.shared.lock();
            let now_ms = core.now_ms();
            core.machine.connect(now_ms);
        }
        let cause = self.serve(stream).await;
        let accepted = matches!(*self.shared.state.borrow(), State::Online(_));
        let mut core = self.shared.lock();
        core.machine.transport_closed();
        core.dispatch(&self.shared);
        core.over = None;
        core.challenge = None;
        drop(core);
        (cause, accepted.then(|| began.elapsed()))
    }

    /// Serves a connection until it is over, and closes it then: after our DISCONNECT `[MQTT-3.14.4-2]`
    /// `[MQTT-3.14.4-1 of 3.1.1]` as after the server's `[U5-41]`, a refusal or a fault `[MQTT-4.13.2-1]`. What goes
    /// wrong here concerns no other connection `[MQTT-4.8.0-2 of 3.1.1]`.
    async fn serve<S: AsyncRead + AsyncWrite>(&mut self, stream: S) -> Cause {
        let mut pipe = Pipe::new(stream);
        let mut farewell: Option<Instant> = None;
        let mut given_up = false;
        loop {
            given_up |= self.answer_challenge() == Answer::GivenUp;
            let turn = self.turn(&mut pipe);
            let is_over = turn.over.is_some();
            if let Some(cause) = turn.over {
                let deadline = *farewell.get_or_insert_with(|| Instant::now() + FAREWELL);
                if pipe.is_idle() || deadline <= Instant::now() {
                    if matches!(cause, machine::Cause::Requested | machine::Cause::Violation { .. }) {
                        pipe.close(deadline).await;
                    }
                    return if given_up { Cause::AuthenticationGivenUp } else { Cause::Ended(cause) };
                }
            }
            let deadline = farewell.or(turn.deadline);
            let may_read = !is_over && turn.may_read;
            match self.happening(&mut pipe, may_read, deadline).await {
                Happening::Read(Ok(0)) => return lost(closed_by_server()),
                Happening::Read(Ok(_)) => self.feed(&mut pipe),
                Happening::Read(Err(error)) => return lost(error),
                Happening::Wrote(Ok(0)) => return lost(io::ErrorKind::WriteZero.into()),
                Happening::Wrote(Ok(bytes)) => pipe.wrote(bytes),
                Happening::Flushed(Ok(())) => pipe.flushed = true,
                Happening::Wrote(Err(error)) | Happening::Flushed(Err(error)) => {
                    return self.last_words(&mut pipe, error).await;
                }
                Happening::Unstuck => {
                    self.go_on_reading(&mut pipe);
                    self.feed(&mut pipe);
                }
                Happening::Woken => {}
            }
        }
    }

    /// Waits for the next thing to happen to a connection.
    async fn happening<S: AsyncRead + AsyncWrite>(
        &mut self,
        pipe: &mut Pipe<S>,
        may_read: bool,
        deadline: Option<Instant>,
    ) -> Happening {
        let stuck = pipe.stuck.is_some();
        tokio::select! {
            read = pipe.reader.read_buf(&mut pipe.inbox), if may_read && !stuck => Happening::Read(read),
            happening = push(&mut pipe.writer, &pipe.outbox[pipe.written..]), if !pipe.is_idle() => happening,
            permit = self.messages.reserve(), if may_read && stuck => {
                if let Ok(permit) = permit
                    && let Some(delivery) = pipe.stuck.take()
                {
                    permit.send(delivery);
                }
                Happening::Unstuck
            }
            () = self.shared.wake.notified() => Happening::Woken,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Happening::Woken,
        }
    }

    /// Does what is due and fetches what is to be written.
    fn turn<S>(&self, pipe: &mut Pipe<S>) -> Turn {
        let mut core = self.shared.lock();
        let now_ms = core.now_ms();
        core.machine.handle_timeout(now_ms);
        if pipe.outbox.is_empty() {
            core.machine.swap_output(now_ms, &mut pipe.outbox);
        }
        core.dispatch(&self.shared);
        core.make_room(&self.shared);
        Turn {
            over: core.over.clone(),
            deadline: core.deadline(),
            may_read: core.machine.output().len() + pipe.outbox.len() <= OUTPUT_BYTES_MAX,
        }
    }

    /// Hands the bytes that were read to the machine, and the messages in them to the application.
    fn feed<S>(&self, pipe: &mut Pipe<S>) {
        let mut core = self.shared.lock();
        let now_ms = core.now_ms();
        let mut taken = 0;
        while pipe.stuck.is_none() {
            match core.machine.receive(now_ms, &pipe.inbox[taken..]) {
                Received::Packet { consumed } => taken += consumed,
                Received::Message { consumed, message, receipt } => {
                    taken += consumed;
                    let message = Message::from_packet(&message);
                    match self.messages.try_send(Delivery { message, receipt }) {
                        Ok(()) => {}
                        Err(TrySendError::Full(delivery)) => pipe.stuck = Some(delivery),
                        Err(TrySendError::Closed(unwanted)) => core.acknowledge(unwanted.receipt),
                    }
                }
                Received::Incomplete { .. } | Received::Closed => break,
            }
        }
        if pipe.stuck.is_some() {
            core.machine.hold_reading(now_ms, true);
        }
        core.dispatch(&self.shared);
        drop(core);
        pipe.took(taken);
    }

    /// There is room for messages again, or nobody left to read them: then they are acknowledged all the same
    /// `[MQTT-4.5.0-2]` `[MQTT-4.5.0-2 of 3.1.1]`.
    fn go_on_reading<S>(&self, pipe: &mut Pipe<S>) {
        let mut core = self.shared.lock();
        if let Some(unwanted) = pipe.stuck.take() {
            core.acknowledge(unwanted.receipt);
        }
        let now_ms = core.now_ms();
        core.machine.hold_reading(now_ms, false);
    }

    /// Has the application's function answer a challenge; ends the connection if it gives up `[MQTT-4.12.1-2]`.
    fn answer_challenge(&mut self) -> Answer {
        let Some(challenge) = self.shared.lock().challenge.take() else { return Answer::Given };
        let answer = self.dial.authenticator.as_mut().and_then(|answer| answer(&challenge));
        let mut core = self.shared.lock();
        let now_ms = core.now_ms();
        if let Some(Ok(())) = answer.map(|answer| core.machine.authenticate(now_ms, Some(&answer))) {
            Answer::Given
        } else {
            core.machine.disconnect(ReasonCode::UnspecifiedError, Properties::EMPTY);
            Answer::GivenUp
        }
    }

    /// Writing failed. The server may have said why before it closed, so what it sent is read first.
    async fn last_words<S: AsyncRead + AsyncWrite>(&mut self, pipe: &mut Pipe<S>, error: io::Error) -> Cause {
        while let Ok(Ok(1..)) = timeout(FAREWELL, pipe.reader.read_buf(&mut pipe.inbox)).await {
            pipe.stuck = None;
            self.feed(pipe);
            if let Some(cause) = self.shared.lock().over.take() {
                return Cause::Ended(cause);
            }
        }
        lost(error)
    }
}

impl<S: AsyncRead + AsyncWrite> Pipe<S> {
    fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Pipe {
            reader,
            writer,
            inbox: Vec::with_capacity(READ_BYTES),
            outbox: Vec::new(),
            written: 0,
            flushed: true,
            stuck: None,
        }
    }

    /// Says that nothing more comes, and waits a moment for the server to close: a socket closed with unread bytes in
    /// it would take back the DISCONNECT that was sent last.
    async fn close(mut self, deadline: Instant) {
        let quiet = async {
            self.writer.shutdown().await?;
            while self.reader.read_buf(&mut self.inbox).await? > 0 {
                self.inbox.clear();
            }
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout_at(deadline, quiet).await;
    }
}

impl<S> Pipe<S> {
    /// Everything has left.
    fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.flushed
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        self.flushed = false;
        if self.written >= self.outbox.len() {
            self.outbox.clear();
            self.written = 0;
        }
    }

    /// Drops the bytes that were handled, and makes room for the next read: as much again as has come, so that the
    /// buffer grows with what arrives and never with a length a packet claims.
    fn took(&mut self, bytes: usize) {
        self.inbox.drain(..bytes);
        if self.inbox.is_empty() {
            self.inbox.shrink_to(READ_BYTES);
        }
        self.inbox.reserve(READ_BYTES.max(self.inbox.len()));
    }
}

/// Writes, or once all is written flushes: TLS and WebSocket keep bytes back until then.
async fn push(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Happening {
    if bytes.is_empty() {
        Happening::Flushed(writer.flush().await)
    } else {
        Happening::Wrote(writer.write(bytes).await)
    }
}

fn lost(error: io::Error) -> Cause {
    Cause::Lost(Arc::new(crate::transport::explained(error)))
}

fn closed_by_server() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it without a word")
}
