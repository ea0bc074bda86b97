//! Every bound of the broker in one place: its default, its unit, why it is there and what happens when it is
//! reached. The settings file and the command line can change those that are fields of [`Limits`]; the constants
//! below them are properties of the design.

/// Bounds that an operator may change. See each field for what happens when it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one packet a client may send, fixed header included. Beyond: 0x95 from the length alone, close
    /// (H10). Two megabytes hold every sensible telemetry message and a firmware chunk.
    pub packet_size_max: u32,
    /// Levels of a topic name or filter. Beyond: name 0x90, filter 0x8F in the acknowledgement (F17).
    pub topic_levels_max: u16,
    /// Bytes of a client identifier. Beyond: CONNACK 0x85.
    pub client_id_bytes_max: u16,
    /// QoS 1 and 2 PUBLISH packets a client may have unanswered (the Receive Maximum we announce). Beyond: 5.0 gets
    /// 0x93 and is closed, older clients are not read until we have answered.
    pub receive_max: u16,
    /// QoS 1 and 2 deliveries open to one client at a time, if the client does not ask for fewer. Beyond: the
    /// session waits (its queue or its place in the log) for acknowledgements.
    pub inflight_max: u16,
    /// Topic aliases a client may set per connection. Beyond: 0x94, close.
    pub topic_alias_max: u16,
    /// Topic aliases we set towards a client that allows them.
    pub topic_alias_out_max: u16,
    /// Open inbound QoS 2 ids of a client before 5.0, which has no flow control. Beyond: not read until released (A21).
    pub inbound_qos2_max: u16,
    /// Bytes waiting for one socket. Beyond: QoS 0 is dropped and counted, QoS 1 and 2 wait in the session.
    pub outbox_bytes_max: usize,
    /// Bytes of QoS 1 and 2 messages waiting in the memory of one fleeting session, or of a shared group that has
    /// only fleeting members. Beyond: the session is ended with 0x97; the group drops the newest and says so.
    pub queue_bytes_max: usize,
    /// Connections, those without CONNECT included. Beyond: closed at once (5.0: CONNACK 0x97 where CONNECT was read).
    pub connections_max: usize,
    /// Sessions, offline ones included. Beyond: CONNACK 0x97.
    pub sessions_max: usize,
    /// Subscriptions of one session. Beyond: SUBACK 0x97.
    pub subscriptions_per_session_max: usize,
    /// Subscriptions of all sessions. Beyond: SUBACK 0x97.
    pub subscriptions_max: usize,
    /// Retained messages. Beyond: a new topic is refused with 0x97, or delivered but not retained where that cannot be
    /// said (QoS 0, before 5.0); replacing and deleting go on.
    pub retained_max: usize,
    /// Bytes of retained messages, topics and properties included. Beyond: as `retained_max`, and what is replaced may not grow.
    pub retained_bytes_max: usize,
    /// Bytes the journal may hold for absent sessions while it lives in memory. Beyond: publishers of messages that
    /// need it get 0x97.
    pub journal_bytes_max: usize,
    /// Seconds a session may outlive its connection; larger wishes are cut to it and the CONNACK says so (C07).
    /// `u32::MAX` is "for ever".
    pub session_expiry_secs_max: u32,
    /// Longest keep-alive in seconds; 0 means any, "off" included. Larger wishes are answered with Server Keep Alive
    /// (5.0) or refused with 0x02 (older).
    pub keep_alive_secs_max: u16,
    /// Highest QoS, 0 to 2. Subscriptions are granted no more `[MQTT-3.2.2-10]`. Beyond: a PUBLISH gets 0x9B and a
    /// close, a will has its CONNECT refused with 0x9B; before 5.0 both see the close only.
    pub qos_max: u8,
    /// Whether clients may have messages retained. If not: as `qos_max`, with 0x9A.
    pub retain_available: bool,
    /// Whether filters may have wildcards. If not: 0xA2 and a close, before 5.0 the code 0x80 in SUBACK.
    pub wildcard_subscriptions: bool,
    /// Whether there are shared subscriptions. If not: 0x9E and a close, before 5.0 the code 0x80 in SUBACK.
    pub shared_subscriptions: bool,
    /// Whether subscriptions may have identifiers. If not: 0xA1 and a close.
    pub subscription_identifiers: bool,
    /// Seconds from accept to a complete CONNECT. Beyond: closed.
    pub connect_timeout_secs: u16,
    /// Seconds from the first byte of a packet to its last. Beyond: closed.
    pub packet_timeout_secs: u16,
    /// Seconds a closing socket may take to drain what was written. Beyond: closed hard.
    pub linger_secs: u16,
    /// Seconds between two rounds of `$SYS` topics; 0 switches them off.
    pub sys_interval_secs: u16,
    /// Refuse control characters and non-characters in topics, filters, client ids and user names.
    pub strict_text: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            packet_size_max: 2_000_000,
            topic_levels_max: 200,
            client_id_bytes_max: 65_535,
            receive_max: 256,
            inflight_max: 1_024,
            topic_alias_max: 32,
            topic_alias_out_max: 32,
            inbound_qos2_max: 65_535,
            outbox_bytes_max: 1 << 20,
            queue_bytes_max: 64 << 20,
            connections_max: 1_000_000,
            sessions_max: 2_000_000,
            subscriptions_per_session_max: 100_000,
            subscriptions_max: 10_000_000,
            retained_max: 5_000_000,
            retained_bytes_max: 1 << 30,
            journal_bytes_max: 1 << 30,
            session_expiry_secs_max: u32::MAX,
            keep_alive_secs_max: 0,
            qos_max: 2,
            retain_available: true,
            wildcard_subscriptions: true,
            shared_subscriptions: true,
            subscription_identifiers: true,
            connect_timeout_secs: 10,
            packet_timeout_secs: 30,
            linger_secs: 5,
            sys_interval_secs: 10,
            strict_text: true,
        }
    }
}

/// Targets of one message served in one turn; the rest of a wider fan-out follows in the next turns.
pub const FAN_OUT_PER_TURN: usize = 4_096;

/// Bytes of messages on their way from worker to worker, or to more receivers than one turn serves, before no client is
/// read any more: whoever publishes may not be faster than the broker delivers.
pub const UNDELIVERED_BYTES: usize = 16 << 20;

/// Retained topics visited for one page, so that `#` over a million topics never holds up a turn.
pub const RETAINED_VISITS_PER_PAGE: usize = 1_024;

/// Messages in one page read from the journal.
pub const PAGE_MESSAGES: usize = 256;

/// Payload bytes in one page read from the journal; a page holds at least one message.
pub const PAGE_BYTES: usize = 256 << 10;

/// Unsynced bytes in the journal before publishers of QoS 1 and 2 are not read any more.
pub const JOURNAL_UNSYNCED_BYTES: usize = 64 << 20;
