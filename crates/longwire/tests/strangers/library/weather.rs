//! A network between a client and a broker, calm or rough: connections that are passed on piece by piece, late, closed on
//! one side only, or cut, as a seed decides. The roughness ends after some connections, so that every test does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Connections that are rough; those after them are calm.
const ROUGH: usize = 25;

pub(crate) struct Network {
    port: u16,
    cuts: Arc<AtomicUsize>,
    cut: watch::Sender<()>,
}

impl Network {
    /// One that only breaks when it is told to.
    pub(crate) async fn calm(broker: u16) -> Self {
        Network::new(broker, None).await
    }

    pub(crate) async fn rough(broker: u16, seed: u64) -> Self {
        Network::new(broker, Some(seed)).await
    }

    async fn new(broker: u16, seed: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (cuts, cut) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(()));
        tokio::spawn(accept(listener, broker, seed, Arc::clone(&cuts), cut.clone()));
        Network { port, cuts, cut }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Connections that were ended by the network.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    broker: u16,
    seed: Option<u64>,
    cuts: Arc<AtomicUsize>,
    cut: watch::Sender<()>,
) {
    let mut connections = 0;
    while let Ok((client, _)) = listener.accept().await {
        connections += 1;
        let fate =
            seed.filter(|_| connections <= ROUGH).map(|seed| Random(seed * 1_000 + connections as u64));
        let (cuts, mut cut) = (Arc::clone(&cuts), cut.subscribe());
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(("127.0.0.1", broker)).await else { return };
            tokio::select! {
                was_cut = pass_on(client, server, fate) => drop(cuts.fetch_add(usize::from(was_cut), Ordering::Relaxed)),
                _ = cut.changed() => {}
            }
        });
    }
}

/// Passes bytes on in both directions until one side closes, or the network does; tells whether that was it.
async fn pass_on(mut client: TcpStream, mut server: TcpStream, fate: Option<Random>) -> bool {
    let Some(mut random) = fate else {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return false;
    };
    let mut left = 200 + random.below(2_500);
    let (mut from_client, mut from_server) = ([0; 97], [0; 97]);
    loop {
        let passed = tokio::select! {
            read = client.read(&mut from_client) => match read {
                Ok(len @ 1..) => server.write_all(&from_client[..len]).await.map(|()| len),
                _ => return false,
            },
            read = server.read(&mut from_server) => match read {
                Ok(len @ 1..) => client.write_all(&from_server[..len]).await.map(|()| len),
                _ => return false,
            },
        };
        let Ok(len) = passed else { return false };
        if random.below(20) == 0 {
            tokio::time::sleep(Duration::from_millis(random.below(15) as u64)).await;
        }
        if left <= len {
            match random.below(3) {
                0 => drop(client.shutdown().await),
                1 => drop(server.shutdown().await),
                _ => {}
            }
            // What is half closed stays so for a moment; then both sides find it gone.
            tokio::time::sleep(Duration::from_millis(random.below(20) as u64)).await;
            return true;
        }
        left -= len;
    }
}

/// Numbers that are the same for the same seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound) as usize
    }
}
