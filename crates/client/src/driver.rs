//! The task behind a client: it dials, moves bytes between the socket and the machine, keeps time, and dials again.
//!
//! Neighbours: `shared` holds the machine, `reconnect` decides about the next attempt. The driver reads only while
//! there is room for what it may read: messages have a bounded queue, answers a bounded output. To it
//! every transport is the same stream of bytes.

use std::io;
use std::ops::Not;
use std::sync::Arc;
use std::time::Duration;

use longwire_proto::ReasonCode;
use longwire_proto::client as machine;
use longwire_proto::client::Received;
use longwire_proto::property::Properties;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until, timeout};

use crate::acknowledge::{Acknowledgement, Fate};
use crate::authenticate::{BoxError, CredentialsSource};
use crate::clock::{self, SleepWatch};
use crate::dial_error::{DialError, DialFault};
use crate::error::Cause;
use crate::event::Event;
use crate::itinerary::Itinerary;
use crate::message::{Delivery, Message};
use crate::options::Dial;
use crate::reconnect::{Backoff, Reconnect, is_final};
use crate::route::Sender;
use crate::shared::{Core, Shared, State};
use crate::transport::Connection;

/// Bytes read at once, and the capacity an idle connection's buffer shrinks to.
const READ_BYTES: usize = 16 * 1024;
/// Bytes waiting to be written past which nothing more is read: a server that does not take our answers gets no
/// further questions answered.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// How long the last packets may take to leave, and the server to close after them.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a connection lives that ends a chain of redirections.
const LASTING: Duration = Duration::from_secs(1);

pub(crate) struct Driver {
    shared: Arc<Shared>,
    itinerary: Itinerary,
    reconnect: Reconnect,
    credentials: Option<CredentialsSource>,
    sleep: SleepWatch,
}

/// What the turn of a connection found.
struct Turn {
    over: Option<machine::Cause>,
    deadline: Option<Instant>,
    may_read: bool,
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
    stuck: Option<(Sender, Delivery)>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, dial: Dial) -> Self {
        let itinerary = Itinerary::new(dial.transport, dial.follows_references);
        let Dial { reconnect, credentials, .. } = dial;
        Driver { shared, itinerary, reconnect, credentials, sleep: SleepWatch::new() }
    }

    /// The server, in words.
    pub(crate) fn place(&self) -> String {
        self.itinerary.next().place.to_string()
    }

    /// Connects, and connects again, until that is not wanted any more or cannot help. With `once_first` the first
    /// connection must succeed.
    pub(crate) async fn run(mut self, mut once_first: bool) {
        let mut backoff = Backoff::new(self.reconnect.clone());
        let cause = loop {
            let (cause, lifetime) = self.connection().await;
            self.shared.state.send_replace(State::Offline);
            self.shared.emit(Event::Disconnected(cause.clone()));
            if let Some(lifetime) = lifetime {
                once_first = false;
                backoff.lived(lifetime);
                if lifetime >= LASTING {
                    self.itinerary.arrived();
                }
            }
            if self.shared.is_stopping() {
                break cause;
            }
            if self.itinerary.redirect(&cause) {
                self.shared.emit(Event::Redirected { place: self.place() });
                continue;
            }
            self.itinerary.failed();
            if once_first || is_final(&cause, self.credentials.is_some()) {
                break cause;
            }
            let Some((attempt, delay)) = backoff.next(crate::random::number()) else { break cause };
            self.shared.emit(Event::Reconnecting { attempt, delay });
            if !self.wait(delay).await {
                break Cause::Ended(machine::Cause::Requested);
            }
        };
        self.shared.end(cause);
    }

    /// Waits for the time of the next attempt, or the end of the machine's sleep; `false` if none is wanted any more.
    async fn wait(&mut self, delay: Duration) -> bool {
        let due = Instant::now() + delay;
        self.sleep.slept();
        while Instant::now() < due && !self.sleep.slept() {
            tokio::select! {
                () = sleep_until(due.min(Instant::now() + clock::LOOK)) => {}
                () = self.shared.stopped() => return false,
            }
        }
        true
    }

    /// One connection from dialling to its end, and how long it was accepted, if it was.
    async fn connection(&mut self) -> (Cause, Option<Duration>) {
        let shared = Arc::clone(&self.shared);
        let opened = tokio::select! {
            opened = self.open() => opened,
            () = shared.stopped() => return (Cause::Ended(machine::Cause::Requested), None),
        };
        let connection = match opened {
            Ok(connection) => connection,
            Err(cause) => return (cause, None),
        };
        let began = Instant::now();
        {
            let mut core = self.shared.lock();
            let now_ms = core.now_ms();
            core.machine.connect(now_ms);
        }
        let cause = self.serve(connection).await;
        let accepted = matches!(*self.shared.state.borrow(), State::Online(_));
        self.shared.lock().part(&self.shared);
        (cause, accepted.then(|| began.elapsed()))
    }

    /// Gets ready what CONNECT will say, and dials.
    async fn open(&mut self) -> Result<Connection, Cause> {
        let transport = self.itinerary.next().clone();
        let unreachable = |error| {
            let fault = DialFault::Credentials(error);
            Cause::Unreachable(Arc::new(DialError { place: transport.place.to_string(), fault }))
        };
        let credentials = match &mut self.credentials {
            None => None,
            Some(fresh) => match timeout(transport.timeout, fresh()).await {
                Ok(fresh) => Some(fresh.map_err(unreachable)?),
                Err(late) => return Err(unreachable(late.into())),
            },
        };
        let data = self.shared.ask_authenticator(|authenticator| authenticator.start());
        let data = data.transpose().map_err(given_up)?.flatten();
        self.shared.lock().refresh(credentials, data).map_err(|error| unreachable(error.into()))?;
        transport.open().await.map_err(|error| Cause::Unreachable(Arc::new(error)))
    }

    /// Serves a connection until it is over, and closes it then: after our DISCONNECT `[MQTT-3.14.4-2]`
    /// `[MQTT-3.14.4-1 of 3.1.1]` as after the server's `[U5-41]`, a refusal or a fault `[MQTT-4.13.2-1]`. What goes
    /// wrong here concerns no other connection `[MQTT-4.8.0-2 of 3.1.1]`.
    async fn serve<S: AsyncRead + AsyncWrite>(&mut self, stream: S) -> Cause {
        let mut pipe = Pipe::new(stream);
        let mut farewell: Option<Instant> = None;
        let mut abandoned = None;
        loop {
            if let Err(error) = self.check_proof() {
                // Whoever it is gets nothing, not even a goodbye: messages may be on the way before that.
                return given_up(error);
            }
            if let Err(error) = self.answer_challenge() {
                abandoned = Some(given_up(error));
            }
            let turn = self.turn(&mut pipe);
            let is_over = turn.over.is_some();
            if let Some(cause) = turn.over {
                let deadline = *farewell.get_or_insert_with(|| Instant::now() + FAREWELL);
                if pipe.is_idle() || deadline <= Instant::now() {
                    if matches!(cause, machine::Cause::Requested | machine::Cause::Violation { .. }) {
                        pipe.close(deadline).await;
                    }
                    return abandoned.unwrap_or(Cause::Ended(cause));
                }
            }
            let look = Instant::now() + clock::LOOK;
            let deadline = farewell.or(turn.deadline).unwrap_or(look).min(look);
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
        deadline: Instant,
    ) -> Happening {
        let stuck = pipe.stuck.as_ref().map(|(sender, _)| sender.clone());
        tokio::select! {
            read = pipe.reader.read_buf(&mut pipe.inbox), if may_read && stuck.is_none() => Happening::Read(read),
            happening = push(&mut pipe.writer, &pipe.outbox[pipe.written..]), if !pipe.is_idle() => happening,
            permit = reserve(stuck.as_ref()), if may_read && stuck.is_some() => {
                if let Some(permit) = permit
                    && let Some((_, delivery)) = pipe.stuck.take()
                {
                    permit.send(delivery);
                }
                Happening::Unstuck
            }
            () = self.shared.wake.notified() => Happening::Woken,
            () = sleep_until(deadline) => Happening::Woken,
        }
    }

    /// Does what is due and fetches what is to be written.
    fn turn<S>(&mut self, pipe: &mut Pipe<S>) -> Turn {
        let mut core = self.shared.lock();
        let now_ms = core.now_ms();
        if self.sleep.slept() {
            core.machine.probe(now_ms);
        }
        core.leave(&self.shared);
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
        let mut guard = self.shared.lock();
        let core = &mut *guard;
        let now_ms = core.now_ms();
        let mut taken = 0;
        while pipe.stuck.is_none() {
            match core.machine.receive(now_ms, &pipe.inbox[taken..]) {
                Received::Packet { consumed } => taken += consumed,
                Received::Message { consumed, message, receipt } => {
                    taken += consumed;
                    let message = core.answers.take(&message).not().then(|| Message::from_packet(&message));
                    let number = core.open(receipt);
                    pipe.stuck = self.deliver(core, message, number);
                }
                Received::Incomplete { .. } | Received::Closed => break,
            }
        }
        if pipe.stuck.is_some() {
            core.machine.hold_reading(now_ms, true);
        }
        core.dispatch(&self.shared);
        drop(guard);
        pipe.took(taken);
    }

    /// Gives a message to its reader; gives it back with the way to that if there is no room. What nobody wants is
    /// acknowledged all the same `[MQTT-4.5.0-2]`.
    fn deliver(
        &self,
        core: &mut Core,
        message: Option<Message>,
        number: Option<u64>,
    ) -> Option<(Sender, Delivery)> {
        let reader = message.as_ref().and_then(|message| core.routes.find(&message.topic)).cloned();
        let unwanted = match message.zip(reader) {
            None => number,
            Some((message, sender)) => {
                let acknowledgement = Acknowledgement::new(Arc::clone(&self.shared), number);
                match sender.try_send(Delivery { message, acknowledgement }) {
                    Ok(()) => None,
                    Err(TrySendError::Full(delivery)) => return Some((sender, delivery)),
                    Err(TrySendError::Closed(unwanted)) => unwanted.acknowledgement.into_number(),
                }
            }
        };
        if let Some(number) = unwanted {
            core.settle(number, Fate::Taken);
        }
        None
    }

    /// There is room for messages again, or nobody left to read them: then they are acknowledged all the same
    /// `[MQTT-4.5.0-2]` `[MQTT-4.5.0-2 of 3.1.1]`.
    fn go_on_reading<S>(&self, pipe: &mut Pipe<S>) {
        let mut core = self.shared.lock();
        if let Some((_, unwanted)) = pipe.stuck.take()
            && let Some(number) = unwanted.acknowledgement.into_number()
        {
            core.settle(number, Fate::Taken);
        }
        let now_ms = core.now_ms();
        core.machine.hold_reading(now_ms, false);
    }

    /// Has the application check what the server said when it was satisfied.
    fn check_proof(&self) -> Result<(), BoxError> {
        let Some(proof) = self.shared.lock().proof.take() else { return Ok(()) };
        let checked = self.shared.ask_authenticator(|authenticator| authenticator.finish(&proof));
        checked.unwrap_or(Ok(()))
    }

    /// Has the application answer a challenge; ends the connection if it gives up `[MQTT-4.12.1-2]`.
    fn answer_challenge(&self) -> Result<(), BoxError> {
        let Some(challenge) = self.shared.lock().challenge.take() else { return Ok(()) };
        let answer = self.shared.ask_authenticator(|authenticator| authenticator.answer(&challenge));
        let mut core = self.shared.lock();
        let now_ms = core.now_ms();
        let sent = answer
            .unwrap_or(Ok(None))
            .and_then(|answer| core.machine.authenticate(now_ms, answer.as_deref()).map_err(BoxError::from));
        if sent.is_err() {
            core.machine.disconnect(ReasonCode::UnspecifiedError, Properties::EMPTY);
        }
        sent
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

/// A place in the queue of a message that is stuck; `None` once nobody reads it.
async fn reserve(sender: Option<&Sender>) -> Option<mpsc::Permit<'_, Delivery>> {
    sender?.reserve().await.ok()
}

fn given_up(error: BoxError) -> Cause {
    Cause::AuthenticationGivenUp(error.into())
}

fn lost(error: io::Error) -> Cause {
    Cause::Lost(Arc::new(crate::transport::explained(error)))
}

fn closed_by_server() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it without a word")
}
