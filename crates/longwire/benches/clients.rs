//! What the client library costs, beside `rumqttc`, against the null relay: publications a second, processor time for each,
//! and memory for each client. The two take turns, so that whatever the machine does meanwhile strikes both.
//!
//! `cargo bench --package longwire --bench clients -- 127.0.0.1:PORT`, with the relay of `longwire-net` on that port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use longwire_client::{Client, Messages, Options, Publication};
use longwire_net::process::{own_cpu_time, resident_bytes};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// Publications in one turn.
const MESSAGES: usize = 200_000;
/// Turns of each library, of which the median counts.
const TURNS: usize = 5;
/// Messages on their way in both libraries.
const WINDOW: u16 = 100;
/// Clients that are connected at once to see what one of them takes.
const CLIENTS: usize = 500;
const PAYLOAD: [u8; 100] = [b'x'; 100];

/// What one turn took.
#[derive(Clone, Copy)]
struct Cost {
    elapsed: Duration,
    cpu: Duration,
}

fn main() {
    let address = std::env::args().skip(1).find_map(|word| word.parse::<SocketAddr>().ok());
    let Some(address) = address else {
        eprintln!("give the address of a null relay: 127.0.0.1:PORT");
        return;
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    for qos in [0, 1] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            ours.push(runtime.block_on(publish_with_ours(address, qos)));
            theirs.push(runtime.block_on(publish_with_rumqttc(address, qos)));
        }
        tell("longwire-client", qos, ours);
        tell("rumqttc", qos, theirs);
    }
    runtime.block_on(memory(address));
}

fn tell(name: &str, qos: u8, mut costs: Vec<Cost>) {
    costs.sort_by_key(|cost| cost.cpu);
    let Cost { elapsed, cpu } = costs[costs.len() / 2];
    let rate = MESSAGES as f64 / elapsed.as_secs_f64();
    let each = cpu.as_secs_f64() * 1e6 / MESSAGES as f64;
    println!("{name:16} QoS {qos}: {rate:9.0} messages a second, {each:.2} us of processor time each");
}

fn options(address: SocketAddr) -> Options {
    Options::new(address.ip().to_string()).port(address.port()).in_flight_max(WINDOW)
}

async fn publish_with_ours(address: SocketAddr, qos: u8) -> Cost {
    let (client, _messages) = Client::connect(options(address)).await.expect("the relay accepts");
    let level = longwire_client::QoS::from_bits(qos).expect("QoS 0 or 1");
    let (start, cpu) = (Instant::now(), own_cpu_time());
    let mut last = None;
    for _ in 0..MESSAGES {
        let publication = Publication::new("t", PAYLOAD).qos(level);
        last = Some(client.publish(publication).await.expect("the client goes on"));
    }
    if let Some(last) = last {
        last.acknowledged().await.expect("the relay answers");
    }
    let cost = Cost { elapsed: start.elapsed(), cpu: own_cpu_time().saturating_sub(cpu) };
    client.disconnect().await;
    cost
}

async fn publish_with_rumqttc(address: SocketAddr, qos: u8) -> Cost {
    let (client, mut events) = rumqttc_client(address, 0);
    let level = if qos == 0 { rumqttc::QoS::AtMostOnce } else { rumqttc::QoS::AtLeastOnce };
    connected(&mut events).await;
    let (start, cpu) = (Instant::now(), own_cpu_time());
    let publishing = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            client.publish("t", level, false, PAYLOAD).await.expect("the client goes on");
        }
        client
    });
    let mut done = 0;
    while done < MESSAGES {
        match events.poll().await.expect("the relay stays") {
            Event::Incoming(Packet::PubAck(_)) if qos == 1 => done += 1,
            Event::Outgoing(Outgoing::Publish(_)) if qos == 0 => done += 1,
            _ => {}
        }
    }
    let cost = Cost { elapsed: start.elapsed(), cpu: own_cpu_time().saturating_sub(cpu) };
    publishing.await.expect("it does not panic");
    cost
}

fn rumqttc_client(address: SocketAddr, number: usize) -> (AsyncClient, EventLoop) {
    let id = format!("rumqttc-{number}");
    let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
    options.set_inflight(WINDOW);
    AsyncClient::new(options, usize::from(WINDOW))
}

async fn connected(events: &mut EventLoop) {
    while !matches!(events.poll().await.expect("the relay accepts"), Event::Incoming(Packet::ConnAck(_))) {}
}

/// Resident memory before and after many clients connect.
async fn memory(address: SocketAddr) {
    let resident = || resident_bytes(std::process::id()).expect("a process can look at itself");
    let before = resident();
    let mut ours: Vec<(Client, Messages)> = Vec::new();
    for _ in 0..CLIENTS {
        ours.push(Client::connect(options(address)).await.expect("the relay accepts"));
    }
    let after_ours = resident();
    let mut tasks = JoinSet::new();
    let mut theirs = Vec::new();
    for number in 0..CLIENTS {
        let (client, mut events) = rumqttc_client(address, number);
        connected(&mut events).await;
        theirs.push(client);
        tasks.spawn(async move { while events.poll().await.is_ok() {} });
    }
    let after_theirs = resident();
    for (name, bytes) in [("longwire-client", after_ours - before), ("rumqttc", after_theirs - after_ours)] {
        println!("{name:16} {} bytes of memory for each of {CLIENTS} idle clients", bytes as usize / CLIENTS);
    }
}
